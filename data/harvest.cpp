#include "data/harvest.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "common/log.h"
#include "data/harvest_shards.h"
#include "data/model_revision.h"
#include "data/shard_format.h"
#include "models/transformer.h"

namespace crossloom::data {
namespace {

using models::HookPoint;

void check_hooks(HookPoint in, HookPoint out) {
  const auto known = {HookPoint::kMlpIn, HookPoint::kMlpNormalized, HookPoint::kResidMid};
  if (std::find(known.begin(), known.end(), in) == known.end() || out != HookPoint::kMlpOut) {
    throw ConfigError({.what = "These hook points cannot be harvested",
                       .expected = "hook_in mlp_in, ln2_normalized or resid_mid; hook_out mlp_out",
                       .got = fmt::format("{} → {}", models::hook_name(in), models::hook_name(out)),
                       .where = "hook_in, hook_out",
                       .hint = "A transcoder reads what an MLP reads and gives what it gives."});
  }
}

/// One forward pass without logits; the hooks' values as bfloat16.
WindowActivations run_window(const models::Transformer& model, HookPoint in, HookPoint out,
                             const std::vector<TokenId>& ids) {
  const at::NoGradGuard no_grad;
  const auto layers = size_t(model.spec().layers);
  WindowActivations result{.x = std::vector<at::Tensor>(layers),
                           .y = std::vector<at::Tensor>(layers)};
  const models::Hooks hooks({in, out}, [&](HookPoint point, int64_t layer, at::Tensor& value) {
    auto& side = point == in ? result.x : result.y;
    side.at(size_t(layer)) = value.to(at::kBFloat16, /*non_blocking=*/false, /*copy=*/true);
  });
  at::Tensor tokens = at::empty({int64_t(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tokens.mutable_data_ptr<int64_t>());
  model.forward(tokens, hooks, {.logits = models::ForwardOptions::Logits::kNone});
  return result;
}

/// Everything the rows depend on, and nothing else: not the paths, not the rank count.
Json make_request(const HarvestOptions& options, const ShardIdentity& id, const TextSource& text) {
  return {{"model_revision", id.model_revision},
          {"tokenizer_hash", id.tokenizer_hash},
          {"hook_in", id.hook_in},
          {"hook_out", id.hook_out},
          {"bos_policy", id.bos_policy},
          {"context_len", id.context_len},
          {"forward_dtype", options.dtype},
          {"max_tokens", options.max_tokens},
          {"text_hash", text.hash()},
          {"text_documents", text.size()}};
}

void check_options(const HarvestOptions& options, const models::ModelSpec& spec) {
  require_at_least("max_tokens", options.max_tokens, 0);
  require_at_least("context_len", options.context_len, 2);
  require_at_least("shard_rows", options.shard_rows, 1);
  if (options.context_len > spec.context) {
    throw ConfigError({.what = "The windows are longer than the model's context",
                       .expected = fmt::format("at most {} tokens", spec.context),
                       .got = fmt::format("{}", options.context_len),
                       .where = "context_len",
                       .hint = "Use a smaller context_len."});
  }
}

}  // namespace

void HarvestOptions::visit(OptionVisitor& visitor) {
  visitor.field("model", model, "Hugging Face folder of the host model");
  visitor.field("text", text, "text files, or folders of .txt files");
  visitor.field("output", output, "folder for the shards");
  visitor.field("max_tokens", max_tokens, "tokens to store; 0: the whole text");
  visitor.field("context_len", context_len, "longest window, BOS included, tokens");
  visitor.field("hook_in", hook_in, "what the transcoder reads: mlp_in, ln2_normalized, resid_mid");
  visitor.field("hook_out", hook_out, "what it must produce: mlp_out");
  visitor.field("dtype", dtype, "of the forward pass: bfloat16, float32, float64");
  visitor.field("document_bytes", document_bytes,
                "files are cut into documents of at most this; 0: never");
  visitor.field("shard_rows", shard_rows, "tokens in a shard file, at most");
  visitor.field("seed", seed, "of the order of documents");
}

ShardIdentity make_identity(const std::string& model_folder, const models::ModelSpec& spec,
                            const models::Tokenizer& tokenizer, HookPoint hook_in,
                            HookPoint hook_out, int64_t context_len) {
  check_hooks(hook_in, hook_out);
  if (spec.bos_id < 0) {
    throw ConfigError({.what = "The model declares no BOS token",
                       .expected = "bos_token_id in config.json",
                       .got = "none",
                       .where = model_folder,
                       .hint = "Position 0 is never stored, so every window needs a BOS: add the "
                               "id that the model's tokenizer uses to its config.json."});
  }
  const auto folder = std::filesystem::weakly_canonical(model_folder);
  return {.model = folder.filename().string(),
          .model_revision = model_revision(model_folder),
          .tokenizer_hash = tokenizer.hash(),
          .hook_in = models::hook_name(hook_in),
          .hook_out = models::hook_name(hook_out),
          .bos_policy = bos_policy_name(spec.bos_id),
          .layers = spec.layers,
          .width_in = spec.width,
          .width_out = spec.width,
          .context_len = context_len};
}

int64_t shard_bytes(const models::ModelSpec& spec, int64_t tokens) {
  ShardIdentity id;
  id.layers = spec.layers;
  id.width_in = spec.width;
  id.width_out = spec.width;
  return tokens * ShardFields(id).all_row_bytes();
}

Manifest harvest(HarvestOptions options, Communicator& comm) {
  std::optional<models::Tokenizer> tokenizer;
  std::optional<TextSource> text;
  HarvestJob job{.folder = options.output,
                 .header = {},
                 .request = {},
                 .max_tokens = options.max_tokens,
                 .shard_rows = options.shard_rows};
  const auto in = models::hook_from_name(options.hook_in);
  const auto out = models::hook_from_name(options.hook_out);
  const at::ScalarType type = compute_type("dtype", options.dtype);
  models::ModelSpec spec;
  comm.agree([&] {
    spec = models::read_model_spec(options.model);
    check_options(options, spec);
    tokenizer.emplace(models::Tokenizer::load(options.model));
    text.emplace(options.text, options.document_bytes, uint64_t(options.seed));
    job.header.identity =
        make_identity(options.model, spec, *tokenizer, in, out, options.context_len);
    job.header.chunk_rows = default_chunk_rows(job.header.identity);
    job.header.seed = uint64_t(options.seed);
    job.request = make_request(options, job.header.identity, *text);
  });
  log::info("Text: {} documents, {}", text->size(), human_bytes(double(text->total_bytes())));
  const TextEncoder encoder{
      .encode = [&](std::string_view part) { return tokenizer->encode(part); },
      .add_bos =
          [&](std::vector<TokenId> ids) {
            return models::with_bos(std::move(ids), *tokenizer, TokenId(spec.bos_id));
          }};
  std::optional<models::Transformer> model;  // loaded when the first window is computed
  const WindowForward forward = [&](const std::vector<TokenId>& ids) {
    if (!model) {
      model.emplace(models::Transformer::load(options.model, type));
    }
    return run_window(*model, in, out, ids);
  };
  return harvest_shards(job, *text, encoder, forward, comm);
}

}  // namespace crossloom::data
