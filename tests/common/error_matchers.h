// EXPECT_ERROR(ConfigError, "phrase", statement): the statement throws exactly that type, and the
// phrase is on the screen the user sees.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <typeinfo>

#include "common/error.h"

namespace crossloom {

template <typename E, typename F>
void expect_error(const std::string& phrase, F&& work) {
  try {
    work();
    ADD_FAILURE() << "nothing was thrown; expected a message with '" << phrase << "'";
  } catch (const Error& error) {
    EXPECT_TRUE(typeid(error) == typeid(E)) << "threw " << error.screen();
    EXPECT_THAT(error.screen(), ::testing::HasSubstr(phrase));
  } catch (const std::exception& error) {
    ADD_FAILURE() << "threw another exception: " << error.what();
  }
}

}  // namespace crossloom

#define EXPECT_ERROR(type, phrase, statement) \
  ::crossloom::expect_error<type>(phrase, [&] { static_cast<void>(statement); })
