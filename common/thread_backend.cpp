// Ranks as threads of one process, for tests: every collective publishes each rank's pointers,
// meets at a barrier, lets each rank read the others' memory in rank order (so sums have a fixed
// order), and meets again before the memory may be reused. A rank that throws breaks the barrier
// and releases the others.
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "common/reduce.h"

namespace crossloom {
namespace {

struct Published {
  const void* send = nullptr;
  std::vector<int64_t> sizes_bytes;
};

class Meeting {
 public:
  explicit Meeting(int rank_count) : published(size_t(rank_count)), rank_count_(rank_count) {}

  /// Returns when all ranks have come; throws DistError when one never will. A meeting that took
  /// place counts, even if a rank breaks the next one before this thread wakes up.
  void wait() {
    std::unique_lock lock(mutex_);
    const int64_t round = round_;
    if (!broken_ && ++arrived_ == rank_count_) {
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return round_ != round || broken_; });
    if (round_ == round) {
      throw DistError({.what = "Another rank failed",
                       .expected = {},
                       .got = {},
                       .where = "in-process ranks",
                       .hint = "Read that rank's message."});
    }
  }
  void break_up() {
    const std::scoped_lock lock(mutex_);
    broken_ = true;
    changed_.notify_all();
  }

  std::vector<Published> published;  // [R]; rank r writes only entry r

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int rank_count_;
  int arrived_ = 0;
  int64_t round_ = 0;
  bool broken_ = false;
};

const char* bytes_of(const void* data) {
  return static_cast<const char*>(data);
}

/// memcpy that allows null pointers to nothing, and a block onto itself.
void copy(void* to, const void* from, int64_t size_bytes) {
  if (size_bytes > 0 && to != from) {
    std::memcpy(to, from, size_t(size_bytes));
  }
}

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(Meeting& meeting, int rank, int size)
      : meeting_(meeting), rank_(rank), size_(size) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* backend() const override { return "thread"; }
  void barrier() override { meeting_.wait(); }

  void all_reduce(void* data, int64_t count, DType type, ReduceOp op) override {
    std::vector<char> result(size_t(count * dtype_info(type).size_bytes));
    exchange(data, {}, [&] { reduce_all(result.data(), count, 0, type, op); });
    copy(data, result.data(), int64_t(result.size()));
  }
  void reduce_scatter(const void* send, void* receive, int64_t count_each, DType type,
                      ReduceOp op) override {
    exchange(send, {}, [&] { reduce_all(receive, count_each, rank_ * count_each, type, op); });
  }
  void broadcast(void* data, int64_t size_bytes, int root) override {
    exchange(data, {}, [&] {
      if (rank_ != root) {
        copy(data, at(root).send, size_bytes);
      }
    });
  }
  void all_gather_v(const void* send, void* receive, std::span<const int64_t> sizes) override {
    exchange(send, {}, [&] {
      auto* to = static_cast<char*>(receive);
      for (int r = 0; r < size_; ++r) {
        copy(to, at(r).send, sizes[size_t(r)]);
        to += sizes[size_t(r)];
      }
    });
  }
  void all_to_all_v(const void* send, std::span<const int64_t> sizes_out, void* receive,
                    std::span<const int64_t> sizes_in) override {
    exchange(send, {sizes_out.begin(), sizes_out.end()}, [&] {
      auto* to = static_cast<char*>(receive);
      for (int r = 0; r < size_; ++r) {
        const auto& theirs = at(r).sizes_bytes;
        int64_t offset = 0;
        for (int q = 0; q < rank_; ++q) {
          offset += theirs[size_t(q)];
        }
        CROSSLOOM_CHECK(theirs[size_t(rank_)] == sizes_in[size_t(r)],
                        "rank {} sends {} bytes, rank {} expects {}", r, theirs[size_t(rank_)],
                        rank_, sizes_in[size_t(r)]);
        copy(to, bytes_of(at(r).send) + offset, sizes_in[size_t(r)]);
        to += sizes_in[size_t(r)];
      }
    });
  }

 private:
  const Published& at(int r) const { return meeting_.published[size_t(r)]; }

  template <typename F>
  void exchange(const void* send, std::vector<int64_t> sizes_bytes, F&& read_others) {
    meeting_.published[size_t(rank_)] = {send, std::move(sizes_bytes)};
    meeting_.wait();
    read_others();
    meeting_.wait();
  }

  /// into = reduction over ranks 0 … R−1, in that order, of elements [offset, offset + count).
  void reduce_all(void* into, int64_t count, int64_t offset, DType type, ReduceOp op) const {
    if (type == DType::kBF16) {
      std::vector<float> total(static_cast<size_t>(count));
      std::vector<float> part(static_cast<size_t>(count));
      for (int r = 0; r < size_; ++r) {
        const auto* bits = static_cast<const uint16_t*>(at(r).send) + offset;
        std::transform(bits, bits + count, (r == 0 ? total : part).begin(), bf16_to_float);
        if (r > 0) {
          detail::reduce_into(total.data(), part.data(), count, op);
        }
      }
      std::transform(total.begin(), total.end(), static_cast<uint16_t*>(into), float_to_bf16);
      return;
    }
    detail::with_element_type(type, [&]<typename T>(T*) {
      std::copy_n(static_cast<const T*>(at(0).send) + offset, count, static_cast<T*>(into));
      for (int r = 1; r < size_; ++r) {
        detail::reduce_into(static_cast<T*>(into), static_cast<const T*>(at(r).send) + offset,
                            count, op);
      }
    });
  }

  Meeting& meeting_;
  int rank_;
  int size_;
};

}  // namespace

void run_ranks_as_threads(int rank_count, const std::function<void(Communicator&)>& body) {
  Meeting meeting(rank_count);
  std::mutex mutex;
  std::exception_ptr first;         // of a rank that failed by itself
  std::exception_ptr first_remote;  // DistError: as a rule only tells of another rank's failure
  const auto keep = [&](std::exception_ptr& slot) {
    const std::scoped_lock lock(mutex);
    slot = slot ? slot : std::current_exception();
    meeting.break_up();
  };
  {
    std::vector<std::jthread> threads;
    for (int r = 0; r < rank_count; ++r) {
      threads.emplace_back([&, r] {
        ThreadCommunicator communicator(meeting, r, rank_count);
        try {
          body(communicator);
        } catch (const DistError&) {
          keep(first_remote);
        } catch (...) {
          keep(first);
        }
      });
    }
  }
  if (first || first_remote) {
    std::rethrow_exception(first ? first : first_remote);
  }
}

}  // namespace crossloom
