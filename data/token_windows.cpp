#include "data/token_windows.h"

#include <algorithm>
#include <limits>

namespace crossloom::data {
namespace {

constexpr int64_t kDocumentsPerRound = 8;  // of each rank

/// Appends every rank's windows, in rank order. Collective.
void gather_windows(const std::vector<TokenWindow>& mine, std::vector<TokenWindow>& all,
                    Communicator& comm) {
  const auto my_bytes = int64_t(mine.size() * sizeof(TokenWindow));
  std::vector<int64_t> sizes_bytes(size_t(comm.size()));
  comm.all_gather(&my_bytes, sizes_bytes.data(), sizeof(my_bytes));
  int64_t total_bytes = 0;
  for (const int64_t size : sizes_bytes) {
    total_bytes += size;
  }
  const size_t had = all.size();
  all.resize(had + size_t(total_bytes) / sizeof(TokenWindow));
  comm.all_gather_v(mine.data(), all.data() + had, sizes_bytes);
}

/// Gives windows their rows; drops and shortens what lies beyond `limit`.
void number_rows(std::vector<TokenWindow>& windows, int64_t limit) {
  int64_t next = 0;
  size_t kept = 0;
  for (; kept < windows.size() && next < limit; ++kept) {
    auto& window = windows[kept];
    const int64_t surplus = std::max<int64_t>(0, next + window.rows - limit);
    window.rows -= surplus;
    window.length -= surplus;
    window.first_row = next;
    next += window.rows;
  }
  windows.resize(kept);
}

}  // namespace

std::vector<TokenWindow> cut_windows(const std::vector<TokenId>& ids, int64_t document,
                                     int64_t context_len, const TextEncoder& encoder) {
  std::vector<TokenWindow> windows;
  const auto total = int64_t(ids.size());
  for (int64_t begin = 0; begin < total;) {
    const bool has_bos = encoder.add_bos({ids[size_t(begin)]}).size() == 1;
    const int64_t length = std::min(total - begin, has_bos ? context_len : context_len - 1);
    const int64_t rows = has_bos ? length - 1 : length;
    if (rows > 0) {
      windows.push_back({document, begin, length, rows, 0});
    }
    begin += length;
  }
  return windows;
}

std::vector<TokenWindow> plan_windows(const TextSource& text, const TextEncoder& encoder,
                                      int64_t context_len, int64_t max_tokens, Communicator& comm) {
  const int64_t limit = max_tokens == 0 ? std::numeric_limits<int64_t>::max() : max_tokens;
  std::vector<TokenWindow> windows;
  int64_t rows = 0;
  for (int64_t round = 0; round < text.size() && rows < limit;
       round += kDocumentsPerRound * comm.size()) {
    std::vector<TokenWindow> mine;
    comm.agree([&] {
      const int64_t begin = round + kDocumentsPerRound * comm.rank();
      const int64_t end = std::min(text.size(), begin + kDocumentsPerRound);
      for (int64_t document = begin; document < end; ++document) {
        const auto cut =
            cut_windows(encoder.encode(text.text(document)), document, context_len, encoder);
        mine.insert(mine.end(), cut.begin(), cut.end());
      }
    });
    const size_t had = windows.size();
    gather_windows(mine, windows, comm);
    for (size_t i = had; i < windows.size(); ++i) {
      rows += windows[i].rows;
    }
  }
  number_rows(windows, limit);
  return windows;
}

}  // namespace crossloom::data
