// crossloom generate MODEL --prompt TEXT: text from the model, printed as it comes.
#include <cstdio>

#include "common/format.h"
#include "launch/commands.h"
#include "launch/model_session.h"
#include "models/generate.h"

namespace crossloom::launch {
namespace {

struct GenerateOptions : models::SamplingOptions {
  std::string model;
  std::string prompt;
  std::string dtype = "float32";
  void visit(OptionVisitor& v) override {
    v.field("model", model, "Hugging Face folder");
    v.field("prompt", prompt, "text to continue");
    v.field("dtype", dtype, "float32, bfloat16 or float64");
    models::SamplingOptions::visit(v);
  }
};

/// Length of the longest prefix that does not end inside a UTF-8 character.
size_t complete_prefix(const std::string& bytes) {
  for (size_t back = 1; back <= 3 && back <= bytes.size(); ++back) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if (byte < 0x80) {
      break;
    }
    if (byte >= 0xC0) {  // a lead byte: how long should its character be?
      const size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
      return length > back ? bytes.size() - back : bytes.size();
    }
  }
  return bytes.size();
}

void run(GenerateOptions& options, Context& context) {
  if (context.dry_run) {
    return;
  }
  const auto session = open_model(options.model, options.dtype);
  const auto prompt = prompt_ids(session, options.prompt);
  if (context.communicator.rank() != 0) {
    return;
  }
  fmt::print("{}", options.prompt);
  std::string pending;
  models::generate(session.model, prompt, options, [&](models::TokenId id) {
    pending += session.tokenizer.token_bytes(id);
    const size_t ready = complete_prefix(pending);
    std::fwrite(pending.data(), 1, ready, stdout);
    std::fflush(stdout);
    pending.erase(0, ready);
    return true;
  });
  fmt::print("{}\n", pending);
}

}  // namespace

Command generate_command() {
  return make_command<GenerateOptions>("generate", "continue a prompt with the host model",
                                       {"model"}, run);
}

}  // namespace crossloom::launch
