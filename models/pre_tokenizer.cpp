#include "models/pre_tokenizer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/error.h"
#include "models/regex_dialect.h"

namespace crossloom::models {
namespace {

constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr std::pair<const char*, SplitBehavior> kBehaviors[] = {
    {"Removed", SplitBehavior::kRemoved},
    {"Isolated", SplitBehavior::kIsolated},
    {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
    {"MergedWithNext", SplitBehavior::kMergedWithNext},
    {"Contiguous", SplitBehavior::kContiguous}};

[[noreturn]] void refuse(const std::string& got, const std::string& source) {
  throw DataError(
      {.what = "The pre-tokenizer is not supported",
       .expected = "ByteLevel, or a Sequence of Split and Digits that ends in ByteLevel",
       .got = got,
       .where = source + ", pre_tokenizer",
       .hint = "Use a model with a byte-level BPE tokenizer."});
}

SplitBehavior behavior_named(const std::string& name, const std::string& source) {
  const auto* found = std::find_if(std::begin(kBehaviors), std::end(kBehaviors),
                                   [&](const auto& row) { return name == row.first; });
  if (found == std::end(kBehaviors)) {
    refuse(fmt::format("Split with behavior {}", name), source);
  }
  return found->second;
}

std::vector<Stretch> stretches_of(const Regex& regex, bool invert, std::string_view text) {
  std::vector<Stretch> stretches;
  size_t done = 0;
  for (const Span match : regex.find_all(text)) {
    if (match.begin != done) {
      stretches.push_back({{done, match.begin}, invert});
    }
    stretches.push_back({match, !invert});
    done = match.end;
  }
  if (done != text.size()) {
    stretches.push_back({{done, text.size()}, invert});
  }
  return stretches;
}

}  // namespace

std::vector<Span> join_stretches(const std::vector<Stretch>& stretches, SplitBehavior behavior) {
  std::vector<Span> spans;
  bool previous_match = false;
  const auto add = [&](const Stretch& stretch, bool join) {
    if (join && !spans.empty()) {
      spans.back() = {std::min(spans.back().begin, stretch.span.begin),
                      std::max(spans.back().end, stretch.span.end)};
    } else {
      spans.push_back(stretch.span);
    }
    previous_match = stretch.is_match;
  };
  if (behavior == SplitBehavior::kMergedWithNext) {  // the mirror image of MergedWithPrevious
    for (auto at = stretches.rbegin(); at != stretches.rend(); ++at) {
      add(*at, at->is_match && !previous_match);
    }
    std::reverse(spans.begin(), spans.end());
    return spans;
  }
  for (const Stretch& stretch : stretches) {
    if (behavior == SplitBehavior::kRemoved && stretch.is_match) {
      continue;
    }
    const bool join = behavior == SplitBehavior::kContiguous ? stretch.is_match == previous_match
                      : behavior == SplitBehavior::kMergedWithPrevious
                          ? stretch.is_match && !previous_match
                          : false;
    add(stretch, join);
  }
  return spans;
}

PreTokenizer::PreTokenizer(const Json& spec, const std::string& source) {
  add(spec, source);
  if (!ends_in_bytes_) {
    refuse("no ByteLevel", source);
  }
}

void PreTokenizer::add(const Json& spec, const std::string& source) {
  if (spec.is_null()) {
    refuse("null", source);
  }
  if (ends_in_bytes_) {
    refuse("something after ByteLevel", source);
  }
  const auto type = json_field<std::string>(spec, "type", source + ", pre_tokenizer");
  if (type == "Sequence") {
    const Json& parts = json_part(spec, "pretokenizers");
    if (!parts.is_array()) {
      fail_json_field("pretokenizers", "a list", parts.type_name(), source);
    }
    for (const Json& part : parts) {
      add(part, source);
    }
  } else if (type == "ByteLevel") {
    add_byte_level(spec, source);
  } else if (type == "Digits") {
    add_digits(spec, source);
  } else if (type == "Split") {
    add_split(spec, source);
  } else {
    refuse(type, source);
  }
}

void PreTokenizer::add_byte_level(const Json& spec, const std::string& source) {
  if (json_field<bool>(spec, "add_prefix_space", source + ", ByteLevel")) {
    steps_.emplace_back();
    steps_.back().prefix_space = true;
  }
  if (json_field_or<bool>(spec, "use_regex", true, source + ", ByteLevel")) {
    add_pattern(kGpt2Pattern, SplitBehavior::kIsolated, source);
  }
  ends_in_bytes_ = true;
}

void PreTokenizer::add_digits(const Json& spec, const std::string& source) {
  const bool individual = json_field<bool>(spec, "individual_digits", source + ", Digits");
  Step& step = steps_.emplace_back();
  step.regex.emplace_back(fmt::format("[{}]", category_class_items("numeric")),
                          Regex::Syntax::kPcre2, source);
  step.behavior = individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
}

void PreTokenizer::add_split(const Json& spec, const std::string& source) {
  const std::string where = source + ", Split";
  const auto behavior = behavior_named(json_field<std::string>(spec, "behavior", where), source);
  const bool invert = json_field<bool>(spec, "invert", where);
  const Json& pattern = json_part(spec, "pattern");
  if (!json_part(pattern, "String").is_null()) {
    steps_.emplace_back().regex.emplace_back(json_field<std::string>(pattern, "String", where),
                                             Regex::Syntax::kLiteral, where);
    steps_.back().behavior = behavior;
  } else {
    add_pattern(json_field<std::string>(pattern, "Regex", where), behavior, where);
  }
  steps_.back().invert = invert;
}

void PreTokenizer::add_pattern(const std::string& pattern, SplitBehavior behavior,
                               const std::string& source) {
  Step& step = steps_.emplace_back();
  step.regex.emplace_back(translate_pattern(pattern, source), Regex::Syntax::kPcre2, source);
  step.behavior = behavior;
}

void PreTokenizer::split(std::string_view text, Pieces& pieces) const {
  pieces.views.assign(1, text);
  pieces.owned.clear();
  for (const Step& step : steps_) {
    apply(step, pieces);
  }
}

void PreTokenizer::apply(const Step& step, Pieces& pieces) {
  std::vector<std::string_view> next;
  for (const std::string_view piece : pieces.views) {
    if (step.prefix_space) {
      const bool has_one = piece.front() == ' ';
      next.push_back(has_one ? piece : pieces.owned.emplace_back(fmt::format(" {}", piece)));
      continue;
    }
    const auto stretches = stretches_of(step.regex.front(), step.invert, piece);
    for (const Span span : join_stretches(stretches, step.behavior)) {
      if (span.begin != span.end) {
        next.push_back(piece.substr(span.begin, span.end - span.begin));
      }
    }
  }
  pieces.views = std::move(next);
}

}  // namespace crossloom::models
