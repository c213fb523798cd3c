// Files of next-token prompts: JSON Lines, one prompt an object. What `crossloom prompts` writes;
// what a sweep and the graph scores read. A file from elsewhere or by hand is welcome as long as
// every line has exactly these keys:
//
//   {"prompt": text, "tokens": [ids, BOS first], "answer": text, "answer_id": id,
//    "probability": p, "entropy": nats, "document": name}
#pragma once

#include <string>
#include <vector>

#include "models/tokenizer.h"

namespace crossloom::eval {

struct Prompt {
  std::string text;
  std::vector<models::TokenId> tokens;  // of the text, BOS first
  std::string answer;                   // the next token, with its leading space
  models::TokenId answer_id = 0;
  double probability = 0.0;  // the model's, of the answer
  double entropy = 0.0;      // of the model's next-token distribution, nats
  std::string document;      // where it comes from
};

/// Probability and entropy keep four decimals: enough to read, too few to show how many threads
/// summed them.
std::string prompts_to_jsonl(const std::vector<Prompt>& prompts);

/// Throws DataError naming file and line: no JSON, a key missing, unknown or of the wrong type, a
/// value out of range, a prompt that was there before; and for a file without a prompt.
std::vector<Prompt> read_prompts(const std::string& path);

/// The texts alone; the other keys may be missing, so that a file is quickly written by hand.
/// Throws DataError naming file and line.
std::vector<std::string> read_prompt_texts(const std::string& path);

}  // namespace crossloom::eval
