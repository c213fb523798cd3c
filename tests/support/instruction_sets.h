// Runs a check once for every instruction set that Highway compiled for and this CPU has.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

namespace crossloom::test {

template <typename Check>
void for_every_instruction_set(Check&& check) {
  const auto choose = [](int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, hwy::TargetName(target));
    choose(target);
    check();
  }
  choose(0);  // what the CPU has
}

}  // namespace crossloom::test
