// A stand-in for tokenizer and host model that needs neither: ids are byte values (plus 10), id 1
// is BOS, '#' is a special token; activations are a fixed function of (layer, position, prefix sum
// of ids), so that a row tells exactly which window and position it came from.
#pragma once

#include "data/harvest_shards.h"

namespace crossloom::test {

inline constexpr data::TokenId kBos = 1;
inline constexpr data::TokenId kSpecial = '#' + 10;

inline data::TextEncoder byte_encoder() {
  return {.encode =
              [](std::string_view text) {
                std::vector<data::TokenId> ids;
                for (const char c : text) {
                  ids.push_back(static_cast<unsigned char>(c) + 10);
                }
                return ids;
              },
          .add_bos =
              [](std::vector<data::TokenId> ids) {
                if (ids.empty() || (ids[0] != kSpecial && ids[0] != kBos)) {
                  ids.insert(ids.begin(), kBos);
                }
                return ids;
              }};
}

/// L layers of width 8, float32 [S, 8]; position 0 gets 1e6, so that one that slips through shows.
inline data::WindowForward byte_forward(int64_t layers) {
  return [layers](const std::vector<data::TokenId>& ids) {
    data::WindowActivations result;
    const auto positions = int64_t(ids.size());
    for (int64_t layer = 0; layer < layers; ++layer) {
      at::Tensor x = at::empty({positions, 8}, at::kFloat);
      auto* values = x.mutable_data_ptr<float>();
      int64_t sum = 0;
      for (int64_t s = 0; s < positions; ++s) {
        sum = (sum * 31 + ids[size_t(s)]) % 127;
        for (int64_t d = 0; d < 8; ++d) {
          values[s * 8 + d] = s == 0 ? 1e6F : float((sum + 7 * d + 3 * layer) % 128 - 64);
        }
      }
      result.x.push_back(x);
      result.y.push_back(x * -0.5);
    }
    return result;
  };
}

inline data::HarvestJob byte_job(const std::string& folder) {
  data::HarvestJob job;
  job.folder = folder;
  job.header.identity = {.model = "bytes",
                         .model_revision = "1",
                         .tokenizer_hash = "bytes",
                         .hook_in = "mlp.hook_in",
                         .hook_out = "hook_mlp_out",
                         .bos_policy = data::bos_policy_name(kBos),
                         .layers = 2,
                         .width_in = 8,
                         .width_out = 8,
                         .context_len = 16};
  job.header.chunk_rows = 32;
  job.max_tokens = 700;
  job.shard_rows = 96;
  job.request = {{"max_tokens", 700}, {"hook_in", "mlp.hook_in"}};
  return job;
}

}  // namespace crossloom::test
