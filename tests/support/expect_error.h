// Errors are user interface, so tests check type and wording: "what … expected … got … where".
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/error.h"

namespace crossloom::test {

/// Runs `body`; fails unless it throws E with all `phrases` in its message.
template <typename E, typename Body>
void expect_error(Body&& body, const std::vector<std::string>& phrases) {
  try {
    body();
    FAIL() << "nothing was thrown";
  } catch (const E& error) {
    for (const auto& phrase : phrases) {
      EXPECT_NE(std::string(error.what()).find(phrase), std::string::npos)
          << "'" << phrase << "' is not in: " << error.what();
    }
  } catch (const std::exception& error) {
    FAIL() << "another error: " << error.what();
  }
}

}  // namespace crossloom::test
