// Errors are user interface, so tests check type and wording: "what … expected … got … where".
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <typeinfo>
#include <vector>

#include "common/error.h"

namespace crossloom::test {

/// Runs `body`; fails unless it throws exactly E with all `phrases` on the screen the user sees.
template <typename E, typename Body>
void expect_error(Body&& body, const std::vector<std::string>& phrases) {
  try {
    body();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_TRUE(typeid(error) == typeid(E)) << "another error: " << error.screen();
    for (const auto& phrase : phrases) {
      EXPECT_NE(error.screen().find(phrase), std::string::npos)
          << "'" << phrase << "' is not in: " << error.screen();
    }
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception: " << error.what();
  }
}

}  // namespace crossloom::test

/// expect_error for one statement and one phrase.
#define EXPECT_ERROR(type, phrase, statement) \
  ::crossloom::test::expect_error<type>([&] { static_cast<void>(statement); }, {phrase})
