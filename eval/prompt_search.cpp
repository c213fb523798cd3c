#include "eval/prompt_search.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "common/error.h"
#include "common/rng.h"
#include "common/utf8.h"
#include "eval/prompt_windows.h"
#include "models/generate.h"

namespace crossloom::eval {
namespace {

/// The order in which documents are read: not the order of a harvest with the same seed, so that
/// prompts do not come from the very documents a transcoder was trained on.
int64_t document_at(int64_t i, int64_t documents, int64_t seed) {
  return int64_t(
      Rng(uint64_t(seed), Purpose::kPromptDocuments).permute(uint64_t(i), uint64_t(documents)));
}

void check_model(const models::ModelSpec& spec, const PromptSearchOptions& options) {
  if (spec.bos_id < 0) {
    throw ConfigError({.what = "The model declares no BOS token",
                       .expected = "bos_token_id in config.json",
                       .got = "none",
                       .where = "model",
                       .hint = "Prompts begin with a BOS: add the id that the model's tokenizer "
                               "uses to its config.json."});
  }
  if (options.max_tokens + 1 > spec.context) {
    throw ConfigError({.what = "The prompts are longer than the model's context",
                       .expected = fmt::format("at most {} tokens", spec.context - 1),
                       .got = fmt::format("{}", options.max_tokens),
                       .where = "max_tokens",
                       .hint = "Use a smaller --max_tokens."});
  }
}

/// What the model says after each of the ids, one forward pass.
std::vector<NextToken> predict(const models::Transformer& model, const std::vector<TokenId>& ids) {
  const at::NoGradGuard no_grad;
  const at::Tensor logits =
      model.forward(models::token_tensor(ids)).to(at::kDouble).contiguous();  // [S, V]
  const auto width = size_t(logits.size(1));
  const auto* values = logits.const_data_ptr<double>();
  std::vector<NextToken> next;
  for (size_t s = 0; s < ids.size(); ++s) {
    next.push_back(read_next_token({values + s * width, width}));
  }
  return next;
}

class Search {
 public:
  Search(const models::Transformer& model, const models::Tokenizer& tokenizer,
         const data::TextSource& text, const PromptSearchOptions& options)
      : model_(model),
        tokenizer_(tokenizer),
        text_(text),
        options_(options),
        chooser_(options,
                 {.decode = [this](const auto& ids) { return tokenizer_.decode(ids); },
                  .encode = [this](const auto& part) { return encode(part); }},
                 frequent()) {}

  void run(const OnPromptWindow& on_window) {
    for (int64_t i = 0; i < text_.size() && !is_done(); ++i) {
      read_document(document_at(i, text_.size(), options_.seed), on_window);
    }
  }

  std::vector<Prompt>& prompts() { return prompts_; }
  int64_t windows() const { return windows_; }
  const RejectionTally& tally() const { return chooser_.tally(); }

 private:
  std::vector<TokenId> encode(std::string_view part) const {
    return models::with_bos(tokenizer_.encode(part), tokenizer_, TokenId(model_.spec().bos_id));
  }

  /// The most frequent tokens of the first counted_tokens tokens, in the order of reading.
  std::set<TokenId> frequent() const {
    std::vector<int64_t> counts(size_t(tokenizer_.vocabulary_size()));
    int64_t counted = 0;
    const bool wanted = options_.frequent_tokens > 0;
    for (int64_t i = 0; wanted && i < text_.size() && counted < options_.counted_tokens; ++i) {
      const auto ids = tokenizer_.encode(text_.text(document_at(i, text_.size(), options_.seed)));
      for (const TokenId id : ids) {
        ++counts.at(size_t(id));
      }
      counted += int64_t(ids.size());
    }
    return most_frequent(counts, options_.frequent_tokens);
  }

  bool is_done() const {
    return int64_t(prompts_.size()) == options_.count || windows_ == options_.max_windows;
  }

  /// Tries the document's windows until one gives a prompt.
  void read_document(int64_t document, const OnPromptWindow& on_window) {
    const std::string text = repair_utf8(text_.text(document));
    const auto parts = prompt_windows(text);
    const auto rng = [&](Purpose purpose) {
      return Rng(uint64_t(options_.seed), purpose).with(uint64_t(document));
    };
    const size_t had = prompts_.size();
    int64_t read = 0;
    for (uint64_t i = 0; i < parts.size() && prompts_.size() == had && !is_done(); ++i) {
      const uint64_t part = rng(Purpose::kPromptWindows).permute(i, parts.size());
      auto ids = encode(parts[part]);
      if (int64_t(ids.size()) < options_.min_tokens + 2) {  // BOS, prompt, answer
        continue;
      }
      if (read++ == options_.windows_per_document) {
        break;
      }
      ids.resize(std::min(ids.size(), size_t(options_.max_tokens) + 2));
      try_window(std::move(ids), text_.name(document),
                 rng(Purpose::kPromptPositions).uniform_double(part));
      if (on_window) {
        on_window(int64_t(prompts_.size()), windows_);
      }
    }
  }

  void try_window(std::vector<TokenId> ids, std::string document, double draw) {
    auto next = predict(model_, {ids.begin(), ids.end() - 1});
    ++windows_;
    auto prompt = chooser_.choose({std::move(ids), std::move(next), std::move(document)}, draw);
    if (prompt) {
      prompts_.push_back(std::move(*prompt));
    }
  }

  const models::Transformer& model_;
  const models::Tokenizer& tokenizer_;
  const data::TextSource& text_;
  const PromptSearchOptions& options_;
  PromptChooser chooser_;  // after what it reads
  std::vector<Prompt> prompts_;
  int64_t windows_ = 0;
};

/// One document gives one prompt: said before the model reads anything.
void check_documents(const data::TextSource& text, const PromptSearchOptions& options,
                     const std::string& source) {
  if (text.size() < options.count) {
    throw DataError(
        {.what = "The text has too few documents for so many prompts",
         .expected = fmt::format("at least {}: at most one prompt comes of each", options.count),
         .got = fmt::format("{} in {}", text.size(), human_bytes(double(text.total_bytes()))),
         .where = source,
         .hint = "Give more text, smaller documents (--document_bytes) or a smaller "
                 "--count."});
  }
}

[[noreturn]] void fail_short(const PromptSearchOptions& options, const std::string& source) {
  throw DataError(
      {.what = "The text is too short for prompts",
       .expected = fmt::format(
           "a sentence or line that begins with a capital letter and has at least {} tokens",
           options.min_tokens + 1),
       .got = "none",
       .where = source,
       .hint = "Give more text, or a smaller --min_tokens."});
}

/// "the model expects another token: 812 (alone 31)", the rules that rejected most first.
std::string tally_text(const RejectionTally& tally) {
  std::vector<size_t> order;
  for (size_t rule = 0; rule < kRejections; ++rule) {
    if (tally.all[rule] > 0) {
      order.push_back(rule);
    }
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return tally.all[a] > tally.all[b]; });
  std::vector<std::string> parts;
  for (const size_t rule : order) {
    parts.push_back(fmt::format("{}: {} (alone {})", rejection_name(static_cast<Rejection>(rule)),
                                tally.all[rule], tally.alone[rule]));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

[[noreturn]] void fail_few(const PromptSearchOptions& options, size_t found, int64_t windows,
                           const RejectionTally& tally, const std::string& source) {
  const bool all_read = windows < options.max_windows;
  throw DataError(
      {.what = "Too few prompts were found",
       .expected = fmt::format("{} prompts", options.count),
       .got = fmt::format("{} in {} windows ({}). Of {} positions most were rejected because {}. "
                          "All reasons: {}",
                          found, windows, all_read ? "all the text" : "max_windows",
                          tally.positions, rejection_name(tally.most()), tally_text(tally)),
       .where = source,
       .hint = all_read ? rejection_hint(tally.most()) : "Raise --max_windows."});
}

}  // namespace

void PromptSearchOptions::visit(OptionVisitor& v) {
  v.field("count", count, "prompts to find");
  v.field("seed", seed, "of the order of documents and of all draws");
  v.field("windows_per_document", windows_per_document,
          "places tried in a document until one gives a prompt");
  v.field("max_windows", max_windows, "windows the model reads, at most");
  v.field("counted_tokens", counted_tokens, "tokens of the text counted for frequent_tokens");
  PromptRule::visit(v);
}

void PromptSearchOptions::check() const {
  PromptRule::check();
  require_at_least("count", count, 1);
  require_at_least("seed", seed, 0);
  require_at_least("windows_per_document", windows_per_document, 1);
  require_at_least("max_windows", max_windows, 1);
  require_at_least("counted_tokens", counted_tokens, 1);
}

std::vector<Prompt> search_prompts(const models::Transformer& model,
                                   const models::Tokenizer& tokenizer, const data::TextSource& text,
                                   const PromptSearchOptions& options, const std::string& source,
                                   const OnPromptWindow& on_window) {
  options.check();
  check_model(model.spec(), options);
  check_documents(text, options, source);
  Search search(model, tokenizer, text, options);
  search.run(on_window);
  if (search.tally().positions == 0) {
    fail_short(options, source);
  }
  if (int64_t(search.prompts().size()) < options.count) {
    fail_few(options, search.prompts().size(), search.windows(), search.tally(), source);
  }
  return std::move(search.prompts());
}

}  // namespace crossloom::eval
