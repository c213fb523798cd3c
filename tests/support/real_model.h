// Where the converted SmolLM2-135M-Instruct and the texts lie (made by launch/test.sh); tests that
// need them are reported as skipped where they are absent.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace crossloom::test {

inline std::optional<std::string> folder_from(const char* variable, const char* below_deps,
                                              const char* marker) {
  const char* value = std::getenv(variable);
  const std::string folder =
      value != nullptr ? value : std::string(CROSSLOOM_TEST_FOLDER) + "/../.deps/" + below_deps;
  return std::filesystem::exists(folder + "/" + marker) ? std::optional(folder) : std::nullopt;
}

/// Folder of the converted model.
inline std::optional<std::string> real_model_folder() {
  return folder_from("CROSSLOOM_MODEL_FOLDER", "model/smollm2-135m-instruct", "model.safetensors");
}

/// The same weights with q and k left permuted: the negative control of the conversion.
inline std::optional<std::string> permuted_model_folder() {
  return folder_from("CROSSLOOM_PERMUTED_MODEL_FOLDER", "model/smollm2-135m-permuted",
                     "model.safetensors");
}

/// Folder of texts, one folder per source.
inline std::optional<std::string> text_folder() {
  return folder_from("CROSSLOOM_TEXT_FOLDER", "text", "sotu");
}

}  // namespace crossloom::test
