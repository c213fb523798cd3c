#include "common/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "common/format.h"
#include "common/log.h"

namespace crossloom {
namespace {
constexpr int kBarWidth_chars = 24;
constexpr auto kTerminalInterval = std::chrono::milliseconds(200);
constexpr auto kPlainInterval = std::chrono::seconds(5);
}  // namespace

Progress::Progress(std::string title, int64_t total, std::string unit)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(std::max<int64_t>(total, 1)),
      terminal_(isatty(STDERR_FILENO) == 1),
      speaks_(log::is_speaker()) {}

void Progress::update(int64_t done, const std::string& note) {
  done_ = done;
  note_ = note;
  const auto now = Clock::now();
  const Clock::duration interval = terminal_ ? Clock::duration(kTerminalInterval) : kPlainInterval;
  const auto since = last_draw_ == Clock::time_point{} ? now - start_ : now - last_draw_;
  if (speaks_ && (since >= interval)) {
    last_draw_ = now;
    draw(std::chrono::duration<double>(now - start_).count());
  }
}

void Progress::draw(double elapsed_s) const {
  const double share = std::clamp(double(done_) / double(total_), 0.0, 1.0);
  const double rate = double(done_) / std::max(elapsed_s, 1e-9);
  const double left_s = done_ > 0 ? double(total_ - done_) / rate : 0.0;
  std::string text =
      fmt::format("{:<12} {:3.0f} %  {}/{} {}  {:.3g} {}/s  {} left", title_, 100.0 * share, done_,
                  total_, unit_, rate, unit_, human_seconds(left_s));
  if (!note_.empty()) {
    text += "  " + note_;
  }
  if (terminal_) {
    const int filled = int(share * kBarWidth_chars);
    const std::string bar =
        std::string(size_t(filled), '#') + std::string(size_t(kBarWidth_chars - filled), '.');
    std::fprintf(stderr, "\r[%s] %s\033[K", bar.c_str(), text.c_str());
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

Progress::~Progress() {
  if (!speaks_ || done_ == 0) {
    return;
  }
  const double elapsed_s = std::chrono::duration<double>(Clock::now() - start_).count();
  std::fprintf(stderr, "%s%s: %lld %s in %s%s%s\n", terminal_ ? "\r\033[K" : "", title_.c_str(),
               static_cast<long long>(done_), unit_.c_str(), human_seconds(elapsed_s).c_str(),
               note_.empty() ? "" : "  ", note_.c_str());
}

}  // namespace crossloom
