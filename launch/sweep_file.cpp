#include "launch/sweep_file.h"

#include <set>

#include "common/error.h"
#include "common/options_node.h"

namespace crossloom::launch {
namespace {

/// Options of training that the sweep itself sets, and what to use instead.
struct OwnKey {
  const char* key;
  const char* instead;
};
constexpr OwnKey kOwnKeys[] = {
    {"data", "Set 'data' at the top of the file."},
    {"output", "Set 'output' at the top of the file; each point gets a folder in it."},
    {"resume", "Leave it out: a sweep always goes on where it stopped."},
    {"transcoder.seed", "Set 'seeds' at the top of the file."},
    {"loader.seed", "Set 'seeds' at the top of the file."}};

[[noreturn]] void refuse_own_key(const OwnKey& own, const std::string& where) {
  throw ConfigError({.what = fmt::format("'{}' is set by the sweep", own.key),
                     .expected = "options that the sweep does not set",
                     .got = own.key,
                     .where = where,
                     .hint = own.instead});
}

/// The node at a dotted key of nested maps; undefined when there is none.
YAML::Node find_nested(const YAML::Node& map, const std::string& dotted_key) {
  if (!map || !map.IsMap()) {
    return YAML::Node(YAML::NodeType::Undefined);
  }
  const size_t dot = dotted_key.find('.');
  const YAML::Node node = map[dotted_key.substr(0, dot)];
  return dot == std::string::npos ? node : find_nested(node, dotted_key.substr(dot + 1));
}

void refuse_own_keys(const YAML::Node& map, const std::string& source, const std::string& prefix) {
  for (const OwnKey& own : kOwnKeys) {
    if (const YAML::Node given = find_nested(map, own.key)) {
      refuse_own_key(own, yaml_where(source, given, prefix + own.key));
    }
  }
}

/// Throws ConfigError unless the node is a list with something in it.
void require_list(const std::string& what, const YAML::Node& node, const std::string& where) {
  if (!node || !node.IsSequence() || node.size() == 0) {
    const bool empty = node && node.IsSequence();
    throw ConfigError(
        {.what = empty ? fmt::format("The list of {} is empty", what) : what + " is not a list",
         .expected = "a list with at least one item",
         .got = empty ? "[]" : yaml_kind(node),
         .where = where,
         .hint = "Write a list, e.g. [8, 16]; or leave out what is optional."});
  }
}

std::vector<SweepVariation> read_variations(const YAML::Node& map, const std::string& source,
                                            const std::string& prefix) {
  std::vector<SweepVariation> vary;
  if (!map || map.IsNull()) {
    return vary;
  }
  if (!map.IsMap()) {
    throw ConfigError({.what = "'vary' is not a map of keys",
                       .expected = "dotted keys with lists, e.g. {transcoder.k: [8, 16]}",
                       .got = yaml_kind(map),
                       .where = yaml_where(source, map, prefix),
                       .hint = "See launch/configs for an example."});
  }
  std::set<std::string> seen;
  for (const auto& item : map) {
    SweepVariation variation{item.first.IsScalar() ? item.first.Scalar() : "(not a name)", {}};
    const std::string where = yaml_where(source, item.first, prefix + variation.key);
    for (const OwnKey& own : kOwnKeys) {
      if (variation.key == own.key) {
        refuse_own_key(own, where);
      }
    }
    if (!seen.insert(variation.key).second) {
      throw ConfigError({.what = fmt::format("'{}' is varied twice", variation.key),
                         .expected = "each key once",
                         .got = {},
                         .where = where,
                         .hint = "Put all values into one list."});
    }
    require_list(fmt::format("'{}'", variation.key), item.second, where);
    for (const auto& value : item.second) {
      if (!value.IsScalar()) {
        throw ConfigError({.what = fmt::format("A value of '{}' is not a plain one", variation.key),
                           .expected = "a number, a word, true or false",
                           .got = yaml_kind(value),
                           .where = yaml_where(source, value, prefix + variation.key),
                           .hint = "Lists and maps cannot be varied: use several entries."});
      }
      variation.values.push_back(value);
    }
    vary.push_back(std::move(variation));
  }
  return vary;
}

/// What an entry has besides 'set' and 'vary'.
struct EntryHead : Options {
  std::string name;
  std::vector<std::string> graphs;
  std::vector<std::string> seeds;
  void visit(OptionVisitor& v) override {
    v.field("name", name, "what its points are called");
    v.field("graphs", graphs, "combinations that get graph scores");
    v.field("seeds", seeds, "instead of the file's");
  }
};

void check_name(const std::string& name, const std::string& where) {
  constexpr size_t kLongest = 60;
  const bool plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-") ==
      std::string::npos;
  if (name.empty() || !plain || name.size() > kLongest) {
    throw ConfigError({.what = "An entry has no usable name",
                       .expected = "letters, digits, '-', '_' or '+': it becomes a folder's name",
                       .got = name.empty() ? "nothing" : name,
                       .where = where,
                       .hint = "Give the entry a name, e.g. name: clt-topk."});
  }
}

SweepEntry read_entry(const YAML::Node& node, size_t number, const trainer::TrainOptions& base,
                      const std::string& source) {
  const std::string place = fmt::format("entries[{}]", number);
  EntryHead head;
  read_options_node(head, node, source, place + ".", {"set", "vary"});
  check_name(head.name, yaml_where(source, node, place + ".name"));
  SweepEntry entry{head.name, base, {}, head.graphs, head.seeds};
  const std::string prefix = fmt::format("entries.{}.", head.name);
  if (const YAML::Node set = node["set"]) {
    read_options_node(entry.options, set, source, prefix + "set.");
    refuse_own_keys(set, source, prefix + "set.");
  }
  entry.vary = read_variations(node["vary"], source, prefix + "vary.");
  for (const char* key : {"graphs", "seeds"}) {
    const YAML::Node list = node[key];
    if (list && (std::string(key) == "graphs" ? entry.graphs : entry.seeds).empty()) {
      require_list(fmt::format("'{}'", key), list, yaml_where(source, list, prefix + key));
    }
  }
  return entry;
}

SweepFile read_document(const YAML::Node& root, const std::string& source) {
  SweepFile file;
  file.path = source;
  read_options_node(file, root, source, "", {"entries"});
  if (!root.IsMap()) {  // an empty document
    throw ConfigError({.what = "The sweep file says nothing",
                       .expected = "data, output, base, entries",
                       .got = "no keys",
                       .where = source,
                       .hint = "See launch/configs for an example."});
  }
  refuse_own_keys(root["base"], source, "base.");
  if (const YAML::Node seeds = root["seeds"]; seeds && file.seeds.empty()) {
    require_list("'seeds'", seeds, yaml_where(source, seeds, "seeds"));
  }
  require_list("'entries'", root["entries"], yaml_where(source, root["entries"], "entries"));
  size_t number = 0;
  for (const auto& node : root["entries"]) {
    file.entries.push_back(read_entry(node, number++, file.base, source));
  }
  return file;
}

}  // namespace

SweepFile read_sweep_text(const std::string& text, const std::string& source) {
  try {
    return read_document(parse_yaml(text, source), source);
  } catch (const YAML::Exception& error) {  // e.g. an alias cycle met while walking
    throw ConfigError({.what = "The sweep file cannot be read",
                       .expected = "plain maps, lists and values",
                       .got = error.msg,
                       .where = source,
                       .hint = "Avoid anchors and unusual keys."});
  }
}

SweepFile read_sweep_file(const std::string& path) {
  return read_sweep_text(read_yaml_file(path), path);
}

void apply_variation(trainer::TrainOptions& options, const std::string& key,
                     const YAML::Node& value, const std::string& name, const std::string& source) {
  read_options_node(options, nested_node(key, value), source,
                    fmt::format("entries.{}.vary.", name));
}

}  // namespace crossloom::launch
