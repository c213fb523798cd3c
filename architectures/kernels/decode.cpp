#include "architectures/kernels/decode.h"

#include <algorithm>

#include "architectures/kernels/dispatch.h"
#include "architectures/kernels/feature_lists.h"
#include "architectures/kernels/ranges.h"
#include "architectures/kernels/scratch.h"
#include "architectures/transcoder.h"

namespace crossloom::architectures::kernels {
namespace {

constexpr int64_t kFewTokens = 32;      // below, nothing is worth copying or sorting
constexpr int64_t kReuse = 4;           // codes per feature from which copying a panel pays
constexpr int64_t kItemsPerThread = 4;  // of about equal work, so that no thread waits long

/// One write as raw pointers.
template <typename Real, typename Stored>
struct WriteView {
  const int64_t* offsets;  // [T + 1]
  const int32_t* index;    // [nnz]
  const Real* value;       // [nnz]
  const Stored* table;
  int64_t stride;
  int64_t features;
};

/// Some columns of a target for some tokens: what one thread does at a time.
struct Item {
  size_t target;
  Range tokens;
  Range columns;
};

/// A layer's codes of some tokens, by feature.
struct TokenLists {
  const LayerCodes* codes;
  Range tokens;
  int64_t features;
  FeatureLists lists{};
};

template <typename Real, typename Stored>
class Decode {
 public:
  Decode(const std::vector<DecodeTarget>& targets, std::optional<DecodeWay> way)
      : targets_(targets), forced_(way) {
    for (const DecodeTarget& target : targets) {
      auto& views = writes_.emplace_back();
      for (const DecodeWrite& write : target.writes) {
        views.push_back({write.codes->offsets.const_data_ptr<int64_t>(),
                         write.codes->index.template const_data_ptr<int32_t>(),
                         write.codes->value.template const_data_ptr<Real>(),
                         stored_data<Stored>(write.table), write.table.stride(0),
                         write.table.size(0)});
      }
    }
    cut_items();
    sort_codes();
  }

  void run() const {
    deal(std::ssize(items_), [&](int64_t i) { run_item(items_[static_cast<size_t>(i)]); });
  }

 private:
  using View = WriteView<Real, Stored>;

  DecodeWay way_of(const View& write, Range tokens) const {
    const int64_t count = write.offsets[tokens.last] - write.offsets[tokens.first];
    if (forced_.has_value()) {
      return *forced_;
    }
    if (tokens.last - tokens.first < kFewTokens) {
      return DecodeWay::kInPlace;
    }
    const int64_t panel_bytes = write.features * kColumnUnit * static_cast<int64_t>(sizeof(Stored));
    const bool pack = count >= kReuse * write.features && panel_bytes <= cache_bytes();
    return pack ? DecodeWay::kPacked : DecodeWay::kByFeature;
  }

  /// Tokens per item: their 64 columns of y fill half the cache, or fewer to busy all threads.
  int64_t tokens_per_item(int64_t tokens, int64_t panels) const {
    const int64_t row_bytes = kColumnUnit * static_cast<int64_t>(sizeof(Real));
    const int64_t wanted = kItemsPerThread * at::get_num_threads();
    const int64_t most = std::max(kFewTokens, cache_bytes() / 2 / row_bytes);
    return std::clamp(tokens * panels / wanted, kFewTokens, most);
  }

  void cut_items() {
    int64_t panels = 0;
    for (const DecodeTarget& target : targets_) {
      panels += (target.y.size(1) + kColumnUnit - 1) / kColumnUnit;
    }
    for (size_t i = targets_.size(); i-- > 0;) {  // the last targets have most writes
      const int64_t tokens = targets_[i].y.size(0);
      const int64_t columns = targets_[i].y.size(1);
      const bool few = tokens < kFewTokens;
      const int64_t chunk = few ? 1 : tokens_per_item(tokens, panels);
      const int64_t width = few ? std::max<int64_t>(columns, 1) : kColumnUnit;
      for (int64_t t = 0; t < tokens; t += chunk) {
        for (int64_t c = 0; c < columns; c += width) {
          items_.push_back(
              {i, {t, std::min(t + chunk, tokens)}, {c, std::min(c + width, columns)}});
        }
      }
    }
  }

  /// The lists that items need, each made once.
  void sort_codes() {
    for (const Item& item : items_) {
      for (size_t w = 0; w < writes_[item.target].size(); ++w) {
        const LayerCodes* codes = targets_[item.target].writes[w].codes;
        if (way_of(writes_[item.target][w], item.tokens) == DecodeWay::kByFeature &&
            find_lists(codes, item.tokens.first) == nullptr) {
          sorted_.push_back({codes, item.tokens, writes_[item.target][w].features});
        }
      }
    }
    deal(std::ssize(sorted_), [&](int64_t i) {
      TokenLists& sorted = sorted_[static_cast<size_t>(i)];
      const LayerCodes part = token_range(*sorted.codes, sorted.tokens);
      sorted.lists = group_by_feature(part, part.value, sorted.features);
    });
  }

  static LayerCodes token_range(const LayerCodes& codes, Range tokens) {
    const at::Tensor offsets =
        codes.offsets.narrow(0, tokens.first, tokens.last - tokens.first + 1);
    const auto* at = offsets.const_data_ptr<int64_t>();
    const int64_t first = at[0];
    const int64_t count = at[tokens.last - tokens.first] - first;
    return {.offsets = offsets - first,
            .index = codes.index.narrow(0, first, count),
            .value = codes.value.narrow(0, first, count)};
  }

  const FeatureLists* find_lists(const LayerCodes* codes, int64_t first_token) const {
    const auto found = std::find_if(sorted_.begin(), sorted_.end(), [&](const TokenLists& lists) {
      return lists.codes == codes && lists.tokens.first == first_token;
    });
    return found == sorted_.end() ? nullptr : &found->lists;
  }

  void run_item(const Item& item) const {
    thread_local Scratch<Real> panel_scratch;
    const at::Tensor& y = targets_[item.target].y;
    const int64_t tokens = item.tokens.last - item.tokens.first;
    const int64_t width = item.columns.last - item.columns.first;
    Real* outside =
        y.mutable_data_ptr<Real>() + item.tokens.first * y.stride(0) + item.columns.first;
    const bool copy = tokens >= kFewTokens;
    Real* inside = copy ? panel_scratch.of_size(tokens * width) : outside;  // [tokens, width]
    const int64_t stride = copy ? width : y.stride(0);
    if (copy) {
      copy_columns(outside, y.stride(0), tokens, width, inside, width);
    }
    const Stored* packed_from = nullptr;
    for (size_t w = 0; w < writes_[item.target].size(); ++w) {
      add_write(item, w, packed_from, inside, stride);
    }
    if (copy) {
      copy_columns(inside, width, tokens, width, outside, y.stride(0));
    }
  }

  /// `packed_from`: the table whose columns the write before packed; sources may share one.
  void add_write(const Item& item, size_t w, const Stored*& packed_from, Real* y,
                 int64_t y_stride) const {
    thread_local Scratch<Stored> packed_scratch;
    const View& write = writes_[item.target][w];
    const int64_t width = item.columns.last - item.columns.first;
    const Stored* table = write.table + item.columns.first;
    switch (way_of(write, item.tokens)) {
      case DecodeWay::kInPlace:
        gather(write, item.tokens, table, write.stride, width, y, y_stride);
        break;
      case DecodeWay::kPacked: {
        Stored* packed = packed_scratch.of_size(write.features * width);
        if (table != packed_from) {
          copy_columns(table, write.stride, write.features, width, packed, width);
          packed_from = table;
        }
        gather(write, item.tokens, packed, width, width, y, y_stride);
        break;
      }
      case DecodeWay::kByFeature: {
        const FeatureLists& lists =
            *find_lists(targets_[item.target].writes[w].codes, item.tokens.first);
        scatter_add({lists.offsets.const_data_ptr<int64_t>(),
                     lists.token.template const_data_ptr<int32_t>(),
                     lists.weight.template const_data_ptr<Real>(), write.features},
                    table, write.stride, width, y, y_stride);
        break;
      }
    }
  }

  static void gather(const View& write, Range tokens, const Stored* table, int64_t stride,
                     int64_t width, Real* y, int64_t y_stride) {
    for (int64_t t = tokens.first; t < tokens.last; ++t) {
      const int64_t first = write.offsets[t];
      gather_add(write.offsets[t + 1] - first, write.index + first, write.value + first, table,
                 stride, width, y + (t - tokens.first) * y_stride);
    }
  }

  const std::vector<DecodeTarget>& targets_;
  std::optional<DecodeWay> forced_;
  std::vector<std::vector<View>> writes_;  // as targets_[i].writes
  std::vector<Item> items_;
  std::vector<TokenLists> sorted_;
};

void check_target(const DecodeTarget& target) {
  CROSSLOOM_CHECK(target.y.stride(1) == 1, "columns must be contiguous");
  for (const DecodeWrite& write : target.writes) {
    check_shape(write.table, {-1, target.y.size(1)}, "table");
    check_shape(target.y, {write.codes->tokens(), -1}, "y");
    CROSSLOOM_CHECK(write.table.stride(1) == 1, "columns must be contiguous");
    const auto type = target.y.scalar_type();
    const bool fits = write.table.scalar_type() == type ||
                      (write.table.scalar_type() == at::kBFloat16 && type == at::kFloat);
    CROSSLOOM_CHECK(fits && write.codes->value.scalar_type() == type,
                    "codes, table and y must have one scalar type");
  }
}

}  // namespace

void run_decode(const std::vector<DecodeTarget>& targets, std::optional<DecodeWay> way) {
  const at::Tensor* table = nullptr;
  for (const DecodeTarget& target : targets) {
    check_target(target);
    for (const DecodeWrite& write : target.writes) {
      CROSSLOOM_CHECK(table == nullptr || table->scalar_type() == write.table.scalar_type(),
                      "tables of several types");
      table = &write.table;
    }
  }
  if (table != nullptr) {
    dispatch_stored(table->scalar_type(), [&](auto real, auto stored) {
      Decode<decltype(real), decltype(stored)>(targets, way).run();
    });
  }
}

}  // namespace crossloom::architectures::kernels
