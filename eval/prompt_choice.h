// Which positions of a text make good next-token prompts: the model is right there, confident but
// not trivially so, and the answer is a new word. Ids and what the model said in, a verdict out; no
// model and no tensor here. A position passes when all of these hold (n: tokens of the prompt, BOS
// not counted; answer: the token that really follows):
//
//   length    min_tokens ≤ n ≤ max_tokens
//   right     the model's top token is the answer
//   sure      min_probability ≤ p(answer) ≤ max_probability
//   new word  the answer's text is a space followed by a letter
//   content   it is none of the `frequent_tokens` most frequent tokens of the text
//   no copy   no token of the prompt is the same word, with or without the space (allow_repeats)
//   variety   fewer than per_answer prompts have this answer already, and none is this prompt
//   exact     the prompt's ids → text → ids gives the same ids
//
// Of a window's passing positions one is drawn, so at most one prompt comes of a window.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "common/options.h"
#include "eval/prompt_file.h"
#include "models/regex.h"

namespace crossloom::eval {

using models::TokenId;

struct PromptRule : Options {
  int64_t min_tokens = 8;
  int64_t max_tokens = 32;
  double min_probability = 0.5;
  double max_probability = 0.98;
  int64_t frequent_tokens = 200;
  bool allow_repeats = false;
  int64_t per_answer = 1;

  void visit(OptionVisitor& visitor) override;
  /// Throws ConfigError naming the option that is out of range.
  void check() const;
};

/// What the model says after a token.
struct NextToken {
  TokenId top = 0;           // the largest logit; ties: the lower id
  double probability = 0.0;  // of `top`
  double entropy = 0.0;      // nats
};

/// Of the logits of one position, [V]. One thread, fixed order: the same bits on any machine load.
NextToken read_next_token(std::span<const double> logits);

/// The `count` tokens with the largest counts (ties: the lower id); never one that was not seen.
std::set<TokenId> most_frequent(const std::vector<int64_t>& counts, int64_t count);

/// Why a position is no prompt. The last two are asked only when nothing else is wrong.
enum class Rejection : uint8_t {
  kWrong,
  kUnsure,
  kTooSure,
  kNoNewWord,
  kFrequent,
  kRepeated,
  kUsed,
  kNotExact
};
inline constexpr size_t kRejections = 8;

/// "the model expects another token": as errors say it.
const char* rejection_name(Rejection rejection);
/// What the user can do about it.
const char* rejection_hint(Rejection rejection);

struct RejectionTally {
  int64_t positions = 0;                     // judged
  std::array<int64_t, kRejections> all{};    // positions that broke this rule
  std::array<int64_t, kRejections> alone{};  // … and no other

  /// The rule that rejected most.
  Rejection most() const;
};

/// What the rule needs of a tokenizer.
struct PromptTexts {
  std::function<std::string(const std::vector<TokenId>&)> decode;
  /// By the one BOS rule (models::with_bos).
  std::function<std::vector<TokenId>(const std::string&)> encode;
};

struct PromptWindow {
  std::vector<TokenId> ids;     // BOS first
  std::vector<NextToken> next;  // next[i]: after ids[0 … i]
  std::string document;
};

class PromptChooser {
 public:
  PromptChooser(const PromptRule& rule, PromptTexts texts, std::set<TokenId> frequent);

  /// Which rules the prompt ids[0 … answer) breaks; requires 0 < answer < ids.size().
  std::vector<Rejection> broken_rules(const PromptWindow& window, size_t answer) const;
  /// The window's prompt, if any position passes; `draw` in [0, 1) picks among those that do.
  std::optional<Prompt> choose(const PromptWindow& window, double draw);

  const RejectionTally& tally() const { return tally_; }

 private:
  bool occurs(TokenId answer, std::span<const TokenId> prompt) const;
  bool is_used(TokenId answer, std::span<const TokenId> prompt) const;
  bool is_exact(std::span<const TokenId> prompt) const;
  std::string text_of(std::span<const TokenId> prompt) const;

  PromptRule rule_;
  PromptTexts texts_;
  std::set<TokenId> frequent_;
  models::Regex new_word_;
  std::map<TokenId, std::vector<std::vector<TokenId>>> used_;  // prompts by answer
  RejectionTally tally_;
};

}  // namespace crossloom::eval
