// The schema of graph JSON as tables: which fields an object has, of which type, and which must be
// there. Unknown fields are allowed everywhere, as in Neuronpedia's schema. Used by the validator.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/json_file.h"

namespace crossloom::eval::schema {

enum class FieldType : uint8_t {
  kString,
  kNumber,
  kShare,
  kWhole,
  kBool,
  kStrings,
  kArray,
  kObject,
  kNumberOrNull,
  kWholeOrNull,
  kStringOrWhole
};

struct FieldRule {
  const char* name;
  FieldType type;
  bool required;
};

inline constexpr bool kRequired = true;
inline constexpr bool kOptional = false;

inline constexpr FieldRule kRootFields[] = {{"metadata", FieldType::kObject, kRequired},
                                            {"qParams", FieldType::kObject, kRequired},
                                            {"nodes", FieldType::kArray, kRequired},
                                            {"links", FieldType::kArray, kRequired}};
inline constexpr FieldRule kMetadataFields[] = {
    {"slug", FieldType::kString, kRequired},
    {"scan", FieldType::kString, kRequired},
    {"prompt_tokens", FieldType::kStrings, kRequired},
    {"prompt", FieldType::kString, kRequired},
    {"transcoder_list", FieldType::kStrings, kOptional},
    {"node_threshold", FieldType::kShare, kOptional},
    {"schema_version", FieldType::kWhole, kOptional},
    {"feature_details", FieldType::kObject, kOptional},
    {"info", FieldType::kObject, kOptional},
    {"generation_settings", FieldType::kObject, kOptional},
    {"pruning_settings", FieldType::kObject, kOptional},
    {"replacement_score", FieldType::kShare, kOptional},
    {"completeness_score", FieldType::kShare, kOptional},
    {"title_prefix", FieldType::kString, kOptional}};
inline constexpr FieldRule kFeatureDetailFields[] = {
    {"feature_json_base_url", FieldType::kString, kOptional},
    {"neuronpedia_source_set", FieldType::kString, kOptional},
    {"neuronpedia_lorsa_source_set", FieldType::kString, kOptional}};
inline constexpr FieldRule kInfoFields[] = {
    {"description", FieldType::kString, kOptional},
    {"creator_name", FieldType::kString, kOptional},
    {"creator_url", FieldType::kString, kOptional},
    {"source_urls", FieldType::kStrings, kOptional},
    {"generator", FieldType::kObject, kOptional},
    {"create_time_ms", FieldType::kNumber, kOptional},
    {"neuronpedia_source_set", FieldType::kString, kOptional}};
inline constexpr FieldRule kGeneratorFields[] = {{"name", FieldType::kString, kOptional},
                                                 {"version", FieldType::kString, kOptional},
                                                 {"url", FieldType::kString, kOptional},
                                                 {"email", FieldType::kString, kOptional}};
inline constexpr FieldRule kGenerationFields[] = {
    {"max_n_logits", FieldType::kWhole, kOptional},
    {"desired_logit_prob", FieldType::kNumber, kOptional},
    {"batch_size", FieldType::kWhole, kOptional},
    {"max_feature_nodes", FieldType::kWhole, kOptional}};
inline constexpr FieldRule kPruningFields[] = {{"node_threshold", FieldType::kShare, kOptional},
                                               {"edge_threshold", FieldType::kShare, kOptional}};
inline constexpr FieldRule kViewFields[] = {{"pinnedIds", FieldType::kStrings, kOptional},
                                            {"supernodes", FieldType::kArray, kOptional},
                                            {"linkType", FieldType::kString, kOptional},
                                            {"clickedId", FieldType::kString, kOptional},
                                            {"sg_pos", FieldType::kString, kOptional}};
inline constexpr FieldRule kNodeFields[] = {{"node_id", FieldType::kString, kRequired},
                                            {"feature", FieldType::kWholeOrNull, kRequired},
                                            {"layer", FieldType::kStringOrWhole, kRequired},
                                            {"ctx_idx", FieldType::kWhole, kRequired},
                                            {"feature_type", FieldType::kString, kRequired},
                                            {"jsNodeId", FieldType::kString, kRequired},
                                            {"clerp", FieldType::kString, kRequired},
                                            {"token_prob", FieldType::kShare, kOptional},
                                            {"is_target_logit", FieldType::kBool, kOptional},
                                            {"run_idx", FieldType::kWhole, kOptional},
                                            {"reverse_ctx_idx", FieldType::kWhole, kOptional},
                                            {"influence", FieldType::kNumberOrNull, kOptional},
                                            {"activation", FieldType::kNumberOrNull, kOptional}};
inline constexpr FieldRule kLinkFields[] = {{"source", FieldType::kString, kRequired},
                                            {"target", FieldType::kString, kRequired},
                                            {"weight", FieldType::kNumber, kRequired}};

inline bool is_number(const Json& value) {
  return value.is_number() && std::isfinite(value.get<double>());
}

inline bool fits(const Json& value, FieldType type) {
  switch (type) {
    case FieldType::kString:
      return value.is_string();
    case FieldType::kNumber:
      return is_number(value);
    case FieldType::kShare:
      return is_number(value) && value.get<double>() >= 0.0 && value.get<double>() <= 1.0;
    case FieldType::kWhole:
      return value.is_number_integer();
    case FieldType::kBool:
      return value.is_boolean();
    case FieldType::kStrings:
      return value.is_array() && std::all_of(value.begin(), value.end(),
                                             [](const Json& item) { return item.is_string(); });
    case FieldType::kArray:
      return value.is_array();
    case FieldType::kObject:
      return value.is_object();
    case FieldType::kNumberOrNull:
      return value.is_null() || is_number(value);
    case FieldType::kWholeOrNull:
      return value.is_null() || value.is_number_integer();
    case FieldType::kStringOrWhole:
      return value.is_string() || value.is_number_integer();
  }
  return false;
}

inline const char* type_text(FieldType type) {
  constexpr const char* kTexts[] = {"a string",
                                    "a finite number",
                                    "a number in [0, 1]",
                                    "a whole number",
                                    "true or false",
                                    "a list of strings",
                                    "a list",
                                    "an object",
                                    "a number or null",
                                    "a whole number or null",
                                    "a string or a whole number"};
  return kTexts[static_cast<size_t>(type)];
}

}  // namespace crossloom::eval::schema
