// A host model that knows the alphabet, as a Hugging Face folder: after " a" it expects " b", …,
// after " z" " a", and after a capital "A" " b" as well, each with a probability of its own; after
// anything else every token is equally likely. Tokens: one per byte, and " a" … " z".
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "common/tensor_file.h"
#include "tests/support/tiny_llama.h"

namespace crossloom::test {

inline constexpr int64_t kLetters = 26;
inline constexpr int64_t kLetterVocabulary = kTinyVocabulary + kLetters;

/// The id of " a" for 'a', ….
inline int64_t spaced_letter(char letter) {
  return kTinyVocabulary + (letter - 'a');
}

/// What the model gives the letter after `letter`: sure of most, certain of z, in doubt about d.
inline double letter_probability(char letter) {
  return letter == 'y' ? 0.9999 : letter == 'c' ? 0.2 : 0.6 + 0.01 * (letter - 'a');
}

inline void write_letter_tokenizer(const std::string& folder) {
  write_tiny_tokenizer(folder);
  Json tokenizer = read_json_file(folder + "/tokenizer.json", size_t{1} << 20);
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    tokenizer["model"]["vocab"][std::string("Ġ") + letter] = spaced_letter(letter);
    tokenizer["model"]["merges"].push_back(std::string("Ġ ") + letter);
  }
  write_json_file(folder + "/tokenizer.json", tokenizer);
}

/// No layer does anything: the residual is the token's own direction, so the logits after token t
/// are column t of the unembedding.
inline void write_letter_model(const std::string& folder) {
  constexpr int64_t kWidth = 288;  // a direction for every token
  constexpr int64_t kHead = 8;
  write_tiny_llama(folder, {.layers = 1, .width = kWidth, .heads = kWidth / kHead});
  write_letter_tokenizer(folder);
  Json config = read_json_file(folder + "/config.json", size_t{1} << 20);
  config["vocab_size"] = kLetterVocabulary;
  config["tie_word_embeddings"] = false;
  config["num_key_value_heads"] = kWidth / kHead;
  write_json_file(folder + "/config.json", config);

  std::vector<std::vector<float>> memory;
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const std::string& name, int64_t rows, int64_t columns, float value) {
    memory.emplace_back(size_t(rows * columns), value);
    tensors.push_back({name, DType::kF32, {rows, columns}, {}});
    return memory.size() - 1;
  };
  const auto add_gain = [&](const std::string& name) {
    memory.emplace_back(size_t(kWidth), 1.0F);
    tensors.push_back({name, DType::kF32, {kWidth}, {}});
  };
  const size_t embedding = add("model.embed_tokens.weight", kLetterVocabulary, kWidth, 0.0F);
  const size_t unembedding = add("lm_head.weight", kLetterVocabulary, kWidth, 0.0F);
  for (const char* part : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
    add(fmt::format("model.layers.0.self_attn.{}.weight", part), kWidth, kWidth, 0.0F);
  }
  constexpr int64_t kMlp = TinyLlamaOptions{}.mlp_width;
  add("model.layers.0.mlp.gate_proj.weight", kMlp, kWidth, 0.0F);
  add("model.layers.0.mlp.up_proj.weight", kMlp, kWidth, 0.0F);
  add("model.layers.0.mlp.down_proj.weight", kWidth, kMlp, 0.0F);
  add_gain("model.layers.0.input_layernorm.weight");
  add_gain("model.layers.0.post_attention_layernorm.weight");
  add_gain("model.norm.weight");

  for (int64_t token = 0; token < kLetterVocabulary; ++token) {
    memory[embedding][size_t(token * kWidth + token)] = 1.0F;
  }
  // The final norm divides by the root mean square: what it makes of a direction of length 1.
  const double scale = std::sqrt(1.0 / double(kWidth) + config["rms_norm_eps"].get<double>());
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    const double p = letter_probability(letter);
    const double logit = std::log(p / (1.0 - p) * double(kLetterVocabulary - 1));
    const int64_t next = spaced_letter(letter == 'z' ? 'a' : char(letter + 1));
    const int64_t capital = 3 + (letter - 'a' + 'A');  // bytes begin at id 3
    for (const int64_t token : {spaced_letter(letter), capital}) {
      memory[unembedding][size_t(next * kWidth + token)] = float(logit * scale);
    }
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i].bytes = std::as_bytes(std::span(memory[i]));
  }
  write_tensor_file(folder + "/model.safetensors", tensors, {});
}

/// Files 0.txt, 1.txt, …: sentences "B c d …." of `letters` letters, file i from the i-th letter
/// on.
inline void write_letter_texts(const std::string& folder, int files, int letters) {
  for (int i = 0; i < files; ++i) {
    std::string text(1, char('A' + i % kLetters));
    for (int j = 1; j < letters; ++j) {
      text += {' ', char('a' + (i + j) % kLetters)};
    }
    write_file(fmt::format("{}/{:03}.txt", folder, i), text + ".\n");
  }
}

}  // namespace crossloom::test
