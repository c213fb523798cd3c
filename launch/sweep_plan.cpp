#include "launch/sweep_plan.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#include "common/error.h"

namespace crossloom::launch {
namespace {

/// A whole number ≥ 0 below `limit`. Throws ConfigError.
int64_t whole_number(const std::string& text, int64_t limit, const std::string& what,
                     const std::string& where) {
  int64_t value = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || value < 0 || value >= limit) {
    throw ConfigError({.what = fmt::format("Wrong number in '{}'", what),
                       .expected = fmt::format("whole numbers from 0 to {}", limit - 1),
                       .got = text,
                       .where = where,
                       .hint = "Change it in the sweep file."});
  }
  return value;
}

[[noreturn]] void refuse_duplicate(const std::string& what, const std::string& got,
                                   const std::string& where) {
  throw ConfigError({.what = what,
                     .expected = "each once",
                     .got = got,
                     .where = where,
                     .hint = "Remove one of them, or give it another name."});
}

std::vector<int64_t> read_seeds(const std::vector<std::string>& texts, const std::string& path) {
  std::vector<int64_t> seeds;
  for (const auto& text : texts) {
    constexpr int64_t kLimit = int64_t{1} << 62;
    seeds.push_back(whole_number(text, kLimit, "seeds", path));
    if (std::count(seeds.begin(), seeds.end(), seeds.back()) > 1) {
      refuse_duplicate("A seed is given twice", text, path + ", key seeds");
    }
  }
  return seeds;
}

/// One combination of an entry's values, before seeds.
struct Combination {
  std::string id;
  std::vector<std::pair<std::string, std::string>> varied;
  trainer::TrainOptions options;
};

/// What a key is called in an id: its last part, or all of it when another key ends alike.
std::string short_name(const SweepEntry& entry, const std::string& key) {
  const auto last = [](const std::string& dotted) { return dotted.substr(dotted.rfind('.') + 1); };
  const auto alike = std::count_if(entry.vary.begin(), entry.vary.end(),
                                   [&](const auto& other) { return last(other.key) == last(key); });
  std::string name = alike == 1 ? last(key) : key;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

/// A value as a part of a folder's name.
std::string file_text(std::string value) {
  for (char& c : value) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    c = plain || c == '-' || c == '+' || c == '.' ? c : '_';
  }
  return value;
}

void refuse_too_many(const SweepEntry& entry, const std::string& source) {
  constexpr size_t kMost = 1000;
  size_t count = 1;
  for (const auto& variation : entry.vary) {
    count *= variation.values.size();
    if (count > kMost) {
      throw ConfigError({.what = "An entry has too many combinations",
                         .expected = fmt::format("at most {}", kMost),
                         .got = fmt::format("{} or more", count),
                         .where = fmt::format("{}, key entries.{}.vary", source, entry.name),
                         .hint = "Vary fewer options together."});
    }
  }
}

/// The cartesian product: the last key moves fastest.
std::vector<Combination> combine(const SweepEntry& entry, const std::string& source) {
  refuse_too_many(entry, source);
  std::vector<Combination> combinations{{entry.name, {}, entry.options}};
  for (const auto& variation : entry.vary) {
    std::vector<Combination> longer;
    for (const auto& combination : combinations) {
      for (const auto& value : variation.values) {
        Combination next = combination;
        apply_variation(next.options, variation.key, value, entry.name, source);
        next.id +=
            fmt::format(".{}-{}", short_name(entry, variation.key), file_text(value.Scalar()));
        next.varied.emplace_back(variation.key, value.Scalar());
        longer.push_back(std::move(next));
      }
    }
    combinations = std::move(longer);
  }
  return combinations;
}

void refuse_equal_combinations(const std::vector<Combination>& combinations,
                               const std::string& source) {
  std::map<std::string, std::string> seen;  // options → id
  for (const auto& combination : combinations) {
    const auto [other, is_new] = seen.emplace(options_to_yaml(combination.options), combination.id);
    if (!is_new) {
      refuse_duplicate("Two points of an entry have the same options",
                       fmt::format("{} and {}", other->second, combination.id), source);
    }
  }
}

/// Which combinations of an entry get graph scores.
std::set<size_t> graphed(const SweepFile& file, const SweepEntry& entry, size_t combinations) {
  const std::string where = fmt::format("{}, key entries.{}.graphs", file.path, entry.name);
  std::set<size_t> chosen;
  if (entry.graphs == std::vector<std::string>{"true"}) {
    for (size_t i = 0; i < combinations; ++i) {
      chosen.insert(i);
    }
  } else if (entry.graphs != std::vector<std::string>{"false"}) {
    for (const auto& text : entry.graphs) {
      const auto limit = static_cast<int64_t>(combinations);
      if (!chosen.insert(static_cast<size_t>(whole_number(text, limit, "graphs", where))).second) {
        refuse_duplicate("A combination is named twice", text, where);
      }
    }
  }
  if (!chosen.empty() && (file.model.empty() || file.prompts.empty())) {
    throw ConfigError({.what = "Graph scores need a host model and prompts",
                       .expected = "model and prompts at the top of the file",
                       .got = file.model.empty() ? "no model" : "no prompts",
                       .where = where,
                       .hint = "Give both, or leave 'graphs' out."});
  }
  return chosen;
}

SweepPoint make_point(const SweepFile& file, const SweepEntry& entry,
                      const Combination& combination, int64_t seed, bool graphs) {
  constexpr size_t kLongest = 200;  // file systems allow 255 bytes
  SweepPoint point;
  point.id = fmt::format("{}.seed-{}", combination.id, seed);
  if (point.id.size() > kLongest) {
    throw ConfigError({.what = "A point's name is too long for a folder",
                       .expected = fmt::format("at most {} characters", kLongest),
                       .got = point.id,
                       .where = file.path,
                       .hint = "Vary fewer options in one entry."});
  }
  point.entry = entry.name;
  point.varied = combination.varied;
  point.seed = seed;
  point.graphs = graphs;
  point.folder = (std::filesystem::path(file.output) / "points" / point.id).string();
  point.options = combination.options;
  point.options.data = file.data;
  point.options.output = point.folder;
  point.options.resume = true;
  point.options.transcoder.seed = seed;
  point.options.loader.seed = seed;
  return point;
}

}  // namespace

std::vector<SweepPoint> expand_sweep(const SweepFile& file) {
  const auto common_seeds = read_seeds(file.seeds, file.path);
  std::vector<SweepPoint> points;
  std::set<std::string> names, ids;
  for (const auto& entry : file.entries) {
    if (!names.insert(entry.name).second) {
      refuse_duplicate("Two entries have the same name", entry.name, file.path);
    }
    const auto seeds = entry.seeds.empty() ? common_seeds : read_seeds(entry.seeds, file.path);
    const auto combinations = combine(entry, file.path);
    refuse_equal_combinations(combinations, file.path);
    const auto graphs = graphed(file, entry, combinations.size());
    for (size_t i = 0; i < combinations.size(); ++i) {
      for (const int64_t seed : seeds) {
        points.push_back(make_point(file, entry, combinations[i], seed, graphs.contains(i)));
        if (!ids.insert(points.back().id).second) {
          refuse_duplicate("Two points have the same name", points.back().id, file.path);
        }
      }
    }
  }
  return points;
}

}  // namespace crossloom::launch
