#include "tests/common/communicator_checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "tests/support/expect_error.h"

namespace crossloom {
namespace {

constexpr DType kReduced[] = {DType::kF64, DType::kF32, DType::kBF16,
                              DType::kI64, DType::kI32, DType::kU64};
constexpr ReduceOp kOps[] = {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin};
constexpr int64_t kCounts[] = {0, 1, 2, 7, 1000};

/// Element i of rank r: multiples of 1/4 below 16 in floating point (exact in bf16, as are sums of
/// four), signed whole numbers, and unsigned ones beyond 2^33.
double element(int rank, int64_t i, DType type) {
  const auto base = double((int64_t{rank} * 5 + i * 3) % 13) - 6.0;
  if (type == DType::kU64) {
    return base + 0x1p33;
  }
  return type == DType::kI64 || type == DType::kI32 ? base : base * 0.25;
}

double reduced(int ranks, int64_t i, DType type, ReduceOp op) {
  double value = element(0, i, type);
  for (int r = 1; r < ranks; ++r) {
    const double other = element(r, i, type);
    value = op == ReduceOp::kSum   ? value + other
            : op == ReduceOp::kMax ? std::max(value, other)
                                   : std::min(value, other);
  }
  return value;
}

void store(char* at, DType type, double value) {
  const auto put = [at](auto typed) { std::memcpy(at, &typed, sizeof(typed)); };
  switch (type) {
    case DType::kF64:
      return put(value);
    case DType::kF32:
      return put(float(value));
    case DType::kBF16:
      return put(float_to_bf16(float(value)));
    case DType::kI64:
      return put(int64_t(value));
    case DType::kI32:
      return put(int32_t(value));
    default:
      return put(uint64_t(value));
  }
}

/// Elements 0 … count of `value(i)`, in the bytes of `type`.
template <typename F>
std::vector<char> stored(DType type, int64_t count, F&& value) {
  const int64_t width_bytes = dtype_info(type).size_bytes;
  std::vector<char> bytes(size_t(count * width_bytes));
  for (int64_t i = 0; i < count; ++i) {
    store(bytes.data() + i * width_bytes, type, value(i));
  }
  return bytes;
}

std::string label(Communicator& c, DType type, int64_t count) {
  return fmt::format("{}, rank {} of {}, {}, {} elements", c.backend(), c.rank(), c.size(),
                     dtype_info(type).name, count);
}

/// Byte i of what rank `from` sends to rank `to`.
char sent_byte(int from, int to, int64_t i) {
  return static_cast<char>(from * 31 + to * 7 + i);
}

template <typename F>
void for_every_reduction(Communicator& c, F&& check) {
  for (const DType type : kReduced) {
    for (const ReduceOp op : kOps) {
      for (const int64_t count : kCounts) {
        SCOPED_TRACE(label(c, type, count));
        check(type, op, count);
      }
    }
  }
}

}  // namespace

void check_all_reduce(Communicator& c) {
  for_every_reduction(c, [&](DType type, ReduceOp op, int64_t count) {
    auto data = stored(type, count, [&](int64_t i) { return element(c.rank(), i, type); });
    c.all_reduce(data.data(), count, type, op);
    EXPECT_EQ(data, stored(type, count, [&](int64_t i) { return reduced(c.size(), i, type, op); }));
  });
}

void check_reduce_scatter(Communicator& c) {
  for_every_reduction(c, [&](DType type, ReduceOp op, int64_t count) {
    const auto send =
        stored(type, count * c.size(), [&](int64_t i) { return element(c.rank(), i, type); });
    const auto before = send;
    std::vector<char> receive(size_t(count * dtype_info(type).size_bytes), 'x');
    c.reduce_scatter(send.data(), receive.data(), count, type, op);
    const int64_t offset = c.rank() * count;
    EXPECT_EQ(receive, stored(type, count,
                              [&](int64_t i) { return reduced(c.size(), offset + i, type, op); }));
    EXPECT_EQ(send, before);
  });
}

void check_broadcast(Communicator& c) {
  for (int root = 0; root < c.size(); ++root) {
    for (const int64_t size_bytes : kCounts) {
      std::vector<char> data(size_t(size_bytes), char(c.rank() + 1));
      c.broadcast(data.data(), size_bytes, root);
      EXPECT_EQ(data, std::vector<char>(size_t(size_bytes), char(root + 1)));
    }
  }
}

void check_all_gather(Communicator& c) {
  for (const int64_t scale : {0, 1, 3, 1000}) {
    std::vector<int64_t> sizes;  // rank r sends r · scale bytes: rank 0 sends nothing
    std::vector<char> expected;
    for (int r = 0; r < c.size(); ++r) {
      sizes.push_back(r * scale);
      for (int64_t i = 0; i < sizes.back(); ++i) {
        expected.push_back(sent_byte(r, 0, i));
      }
    }
    std::vector<char> send;
    for (int64_t i = 0; i < sizes[size_t(c.rank())]; ++i) {
      send.push_back(sent_byte(c.rank(), 0, i));
    }
    std::vector<char> receive(expected.size(), 'x');
    c.all_gather_v(send.data(), receive.data(), sizes);
    EXPECT_EQ(receive, expected);
    const auto place = std::accumulate(sizes.begin(), sizes.begin() + c.rank(), int64_t{0});
    std::fill(receive.begin(), receive.end(), 'x');
    std::copy(send.begin(), send.end(), receive.begin() + place);
    c.all_gather_v(receive.data() + place, receive.data(), sizes);
    EXPECT_EQ(receive, expected) << "from its own place";
  }
  const int64_t mine = 100 + c.rank();
  std::vector<int64_t> all(size_t(c.size()), -1);
  c.all_gather(&mine, all.data(), sizeof(mine));
  for (int r = 0; r < c.size(); ++r) {
    EXPECT_EQ(all[size_t(r)], 100 + r);
  }
}

void check_all_to_all(Communicator& c) {
  for (const int64_t scale : {0, 1, 5, 1000}) {
    // Rank a sends (a + 2b) % 3 · scale bytes to rank b: some pairs exchange nothing.
    const auto size_of = [scale](int from, int to) { return (from + 2 * to) % 3 * scale; };
    std::vector<int64_t> sizes_out, sizes_in;
    std::vector<char> send, expected;
    for (int r = 0; r < c.size(); ++r) {
      sizes_out.push_back(size_of(c.rank(), r));
      sizes_in.push_back(size_of(r, c.rank()));
      for (int64_t i = 0; i < sizes_out.back(); ++i) {
        send.push_back(sent_byte(c.rank(), r, i));
      }
      for (int64_t i = 0; i < sizes_in.back(); ++i) {
        expected.push_back(sent_byte(r, c.rank(), i));
      }
    }
    std::vector<char> receive(expected.size(), 'x');
    c.all_to_all_v(send.data(), sizes_out, receive.data(), sizes_in);
    EXPECT_EQ(receive, expected);
  }
}

void check_scalars(Communicator& c) {
  const int n = c.size();
  EXPECT_EQ(c.sum(int64_t{c.rank() + 1}), n * (n + 1) / 2);
  EXPECT_EQ(c.sum(0.5 * (c.rank() + 1)), 0.25 * n * (n + 1));
  EXPECT_EQ(c.sum(0.5F * float(c.rank() + 1)), 0.25F * float(n * (n + 1)));
  EXPECT_EQ(c.max(int64_t{c.rank()}), n - 1);
  EXPECT_EQ(c.min(int64_t{-c.rank()}), 1 - n);
}

void check_agree(Communicator& c) {
  int worked = 0;
  c.agree([&] { ++worked; });
  EXPECT_EQ(worked, 1);
  for (int failing = 0; failing < c.size(); ++failing) {
    // Ranks from `failing` on fail: each rethrows its own error, the others name the lowest.
    const auto work = [&] {
      c.agree([&] {
        if (c.rank() >= failing) {
          throw DataError({.what = fmt::format("file of rank {}", c.rank()),
                           .expected = {},
                           .got = {},
                           .where = {},
                           .hint = {}});
        }
      });
    };
    if (c.rank() >= failing) {
      EXPECT_ERROR(DataError, fmt::format("file of rank {}", c.rank()), work());
    } else {
      EXPECT_ERROR(DistError, fmt::format("Rank {} failed", failing), work());
    }
  }
  c.barrier();  // and the ranks still work together afterwards
}

void check_unsupported_types(Communicator& c) {
  std::vector<char> data(16);
  for (const DType type : {DType::kF16, DType::kU8, DType::kBool, DType::kI8}) {
    EXPECT_ERROR(InternalError, dtype_info(type).name,
                 c.all_reduce(data.data(), 1, type, ReduceOp::kSum));
    EXPECT_ERROR(InternalError, dtype_info(type).name,
                 c.reduce_scatter(data.data(), data.data() + 8, 1, type, ReduceOp::kSum));
  }
}

void check_communicator(Communicator& c) {
  for (int round = 0; round < 2; ++round) {
    check_all_reduce(c);
    check_reduce_scatter(c);
    check_broadcast(c);
    check_all_gather(c);
    check_all_to_all(c);
    check_scalars(c);
    check_agree(c);
    check_unsupported_types(c);
    c.barrier();
  }
}

}  // namespace crossloom
