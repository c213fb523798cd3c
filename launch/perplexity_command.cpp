// crossloom perplexity MODEL --text FILE: the check that a model was converted and loaded right.
#include <filesystem>

#include "common/error.h"
#include "common/mapped_file.h"
#include "common/progress.h"
#include "launch/commands.h"
#include "launch/model_session.h"
#include "models/perplexity.h"

namespace crossloom::launch {
namespace {

constexpr size_t kTextLimit_bytes = size_t{1} << 30;

struct PerplexityOptions : Options {
  std::string model;
  std::string text;
  std::string dtype = "float32";
  int64_t windows = 16;
  int64_t context = 512;
  void visit(OptionVisitor& v) override {
    v.field("model", model, "Hugging Face folder");
    v.field("text", text, "plain UTF-8 text file, or a folder of them");
    v.field("dtype", dtype, "float32, bfloat16 or float64");
    v.field("windows", windows, "windows to read, spread evenly over the text");
    v.field("context", context, "tokens per window, BOS included");
  }
};

/// The file, or the folder's .txt files in name order, one after the other.
std::string read_texts(const std::string& path) {
  if (!std::filesystem::is_directory(path)) {
    return read_text_file(path, kTextLimit_bytes);
  }
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".txt") {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  std::string all;
  for (const auto& file : files) {
    all += read_text_file(file, kTextLimit_bytes);
  }
  return all;
}

void run(PerplexityOptions& options, Context& context) {
  require_set("text", options.text, "text file");
  require_at_least("windows", options.windows, 1);
  require_at_least("context", options.context, 2);
  const std::string text = read_texts(options.text);
  if (context.dry_run) {
    return;
  }
  const auto session = open_model(options.model, options.dtype);
  const auto ids = session.tokenizer.encode(text);
  const auto windows = models::bos_windows(
      ids, options.context, static_cast<models::TokenId>(session.model.spec().bos_id),
      options.windows);
  if (windows.empty()) {
    throw DataError({.what = "The text is too short",
                     .expected = fmt::format("at least {} tokens", options.context - 1),
                     .got = fmt::format("{} tokens", ids.size()),
                     .where = options.text,
                     .hint = "Give more text or a smaller --context."});
  }
  if (context.communicator.rank() != 0) {
    return;
  }
  Progress progress("perplexity", static_cast<int64_t>(windows.size()), "windows");
  const auto result =
      models::perplexity(session.model, windows, [&](int64_t done) { progress.update(done); });
  fmt::print("perplexity {:.3f} over {} tokens ({} windows of {}, BOS first, {})\n", result.value(),
             result.tokens, windows.size(), options.context, options.dtype);
}

}  // namespace

Command perplexity_command() {
  return make_command<PerplexityOptions>("perplexity", "how well the host model predicts a text",
                                         {"model"}, run);
}

}  // namespace crossloom::launch
