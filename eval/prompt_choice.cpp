#include "eval/prompt_choice.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/error.h"

namespace crossloom::eval {
namespace {

constexpr double kCertain = 1.0;

std::string_view without_space(std::string_view text) {
  return text.substr(text.starts_with(' ') ? 1 : 0);
}

struct RejectionText {
  const char* name;
  const char* hint;
};

constexpr std::array<RejectionText, kRejections> kTexts = {{
    {"the model expects another token", "Give more text, or text nearer to what the model knows."},
    {"the model is less sure than min_probability", "Lower --min_probability, or give more text."},
    {"the model is surer than max_probability", "Raise --max_probability, or give more text."},
    {"the next token begins no word", "Give more text, or text with spaces between words."},
    {"the next token is among the most frequent", "Lower --frequent_tokens, or give more text."},
    {"the next token occurs in the prompt", "Give more text, or allow it: --allow_repeats."},
    {"its answer has enough prompts already", "Raise --per_answer, or give more text."},
    {"the prompt's text gives other ids", "Give text without characters the tokenizer changes."},
}};

}  // namespace

void PromptRule::visit(OptionVisitor& v) {
  v.field("min_tokens", min_tokens, "shortest prompt, tokens, BOS not counted");
  v.field("max_tokens", max_tokens, "longest prompt, tokens, BOS not counted");
  v.field("min_probability", min_probability, "of the answer, at least");
  v.field("max_probability", max_probability, "of the answer, at most");
  v.field("frequent_tokens", frequent_tokens,
          "no answer is among this many most frequent tokens of the text");
  v.field("allow_repeats", allow_repeats, "the answer may occur in the prompt already");
  v.field("per_answer", per_answer, "prompts with the same answer, at most");
}

void PromptRule::check() const {
  require_at_least("min_tokens", min_tokens, 1);
  require_at_least("max_tokens", max_tokens, min_tokens);
  require_at_least("frequent_tokens", frequent_tokens, 0);
  require_at_least("per_answer", per_answer, 1);
  const bool ordered =
      0.0 <= min_probability && min_probability <= max_probability && max_probability <= kCertain;
  if (!ordered) {
    throw ConfigError({.what = "The bounds of the probability cannot be met",
                       .expected = "0 ≤ min_probability ≤ max_probability ≤ 1",
                       .got = fmt::format("{} and {}", min_probability, max_probability),
                       .where = "min_probability, max_probability",
                       .hint = "The defaults are 0.5 and 0.98."});
  }
}

NextToken read_next_token(std::span<const double> logits) {
  CROSSLOOM_CHECK(!logits.empty(), "no logits");
  const auto top = std::max_element(logits.begin(), logits.end());
  double sum = 0.0;       // Σ e^d,  d = logit − largest
  double weighted = 0.0;  // Σ d·e^d
  for (const double logit : logits) {
    const double below = logit - *top;
    const double weight = std::exp(below);
    sum += weight;
    weighted += weight == 0.0 ? 0.0 : below * weight;  // −∞·0 counts nothing
  }
  return {.top = static_cast<TokenId>(top - logits.begin()),
          .probability = 1.0 / sum,
          .entropy = std::log(sum) - weighted / sum};
}

std::set<TokenId> most_frequent(const std::vector<int64_t>& counts, int64_t count) {
  std::vector<std::pair<int64_t, TokenId>> seen;  // (−count, id): sorts as wanted
  for (size_t id = 0; id < counts.size(); ++id) {
    if (counts[id] > 0) {
      seen.emplace_back(-counts[id], static_cast<TokenId>(id));
    }
  }
  std::sort(seen.begin(), seen.end());
  seen.resize(std::min(seen.size(), static_cast<size_t>(count)));
  std::set<TokenId> frequent;
  for (const auto& [negative, id] : seen) {
    frequent.insert(id);
  }
  return frequent;
}

const char* rejection_name(Rejection rejection) {
  return kTexts.at(static_cast<size_t>(rejection)).name;
}

const char* rejection_hint(Rejection rejection) {
  return kTexts.at(static_cast<size_t>(rejection)).hint;
}

Rejection RejectionTally::most() const {
  return static_cast<Rejection>(std::max_element(all.begin(), all.end()) - all.begin());
}

PromptChooser::PromptChooser(const PromptRule& rule, PromptTexts texts, std::set<TokenId> frequent)
    : rule_(rule),
      texts_(std::move(texts)),
      frequent_(std::move(frequent)),
      new_word_(R"(\A \p{L})", models::Regex::Syntax::kPcre2, "new word") {
  rule_.check();
}

bool PromptChooser::occurs(TokenId answer, std::span<const TokenId> prompt) const {
  const std::string text = texts_.decode({answer});
  return std::any_of(prompt.begin(), prompt.end(), [&](TokenId id) {
    return without_space(texts_.decode({id})) == without_space(text);
  });
}

std::string PromptChooser::text_of(std::span<const TokenId> prompt) const {
  return texts_.decode({prompt.begin() + 1, prompt.end()});
}

bool PromptChooser::is_used(TokenId answer, std::span<const TokenId> prompt) const {
  const auto found = used_.find(answer);
  if (found == used_.end()) {
    return false;
  }
  const auto& prompts = found->second;
  return int64_t(prompts.size()) >= rule_.per_answer ||
         std::any_of(prompts.begin(), prompts.end(), [&](const std::vector<TokenId>& other) {
           return std::equal(other.begin(), other.end(), prompt.begin(), prompt.end());
         });
}

bool PromptChooser::is_exact(std::span<const TokenId> prompt) const {
  const auto again = texts_.encode(text_of(prompt));
  return std::equal(again.begin(), again.end(), prompt.begin(), prompt.end());
}

std::vector<Rejection> PromptChooser::broken_rules(const PromptWindow& window,
                                                   size_t answer) const {
  const std::span<const TokenId> prompt(window.ids.data(), answer);
  const TokenId id = window.ids.at(answer);
  const NextToken& next = window.next.at(answer - 1);
  std::vector<Rejection> broken;
  const auto refuse_if = [&](bool breaks, Rejection rejection) {
    if (breaks) {
      broken.push_back(rejection);
    }
  };
  const bool right = next.top == id;  // else `probability` is not the answer's
  refuse_if(!right, Rejection::kWrong);
  refuse_if(right && !(next.probability >= rule_.min_probability), Rejection::kUnsure);  // NaN too
  refuse_if(right && next.probability > rule_.max_probability, Rejection::kTooSure);
  refuse_if(new_word_.find_all(texts_.decode({id})).empty(), Rejection::kNoNewWord);
  refuse_if(frequent_.contains(id), Rejection::kFrequent);
  refuse_if(!rule_.allow_repeats && occurs(id, prompt), Rejection::kRepeated);
  if (broken.empty()) {
    refuse_if(is_used(id, prompt), Rejection::kUsed);
    refuse_if(!is_exact(prompt), Rejection::kNotExact);
  }
  return broken;
}

std::optional<Prompt> PromptChooser::choose(const PromptWindow& window, double draw) {
  CROSSLOOM_CHECK(0.0 <= draw && draw < 1.0, "a draw of {}", draw);
  std::vector<size_t> passing;
  const size_t end = std::min(
      {window.ids.size(), window.next.size() + 1, static_cast<size_t>(rule_.max_tokens) + 2});
  for (auto answer = static_cast<size_t>(rule_.min_tokens) + 1; answer < end; ++answer) {
    const auto broken = broken_rules(window, answer);
    ++tally_.positions;
    for (const Rejection rejection : broken) {
      ++tally_.all.at(static_cast<size_t>(rejection));
      tally_.alone.at(static_cast<size_t>(rejection)) += broken.size() == 1 ? 1 : 0;
    }
    if (broken.empty()) {
      passing.push_back(answer);
    }
  }
  if (passing.empty()) {
    return std::nullopt;
  }
  const size_t answer = passing[static_cast<size_t>(draw * static_cast<double>(passing.size()))];
  const std::span<const TokenId> prompt(window.ids.data(), answer);
  const TokenId id = window.ids[answer];
  used_[id].emplace_back(prompt.begin(), prompt.end());
  return Prompt{.text = text_of(prompt),
                .tokens = {prompt.begin(), prompt.end()},
                .answer = texts_.decode({id}),
                .answer_id = id,
                .probability = window.next[answer - 1].probability,
                .entropy = window.next[answer - 1].entropy,
                .document = window.document};
}

}  // namespace crossloom::eval
