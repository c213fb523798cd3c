// Prompts by the rule of prompt_choice.h out of a text: documents in a seeded order of their own
// (not the harvest's), in each document the places where a prompt may begin (prompt_windows.h) in a
// seeded order, and at each the model's predictions with BOS first, until one gives a prompt. Every
// draw is a function of (seed, document, window), so the result is one of model, text and options.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/text_source.h"
#include "eval/prompt_choice.h"
#include "models/tokenizer.h"
#include "models/transformer.h"

namespace crossloom::eval {

struct PromptSearchOptions : PromptRule {
  int64_t count = 16;
  int64_t seed = 0;
  int64_t windows_per_document = 4;
  int64_t max_windows = 4096;
  int64_t counted_tokens = 1'000'000;

  void visit(OptionVisitor& visitor) override;
  /// Throws ConfigError.
  void check() const;
};

/// Called after each window the model read.
using OnPromptWindow = std::function<void(int64_t found, int64_t windows)>;

/// Exactly `count` prompts, at most one of a document; `source` is what errors call the text.
/// Throws ConfigError when the model has no BOS or too short a context, DataError when there are
/// fewer: how many, and which rule rejected most.
std::vector<Prompt> search_prompts(const models::Transformer& model,
                                   const models::Tokenizer& tokenizer, const data::TextSource& text,
                                   const PromptSearchOptions& options, const std::string& source,
                                   const OnPromptWindow& on_window = {});

}  // namespace crossloom::eval
