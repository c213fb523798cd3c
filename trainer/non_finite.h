// Where a batch holds a number that is not finite: asked for once a step has failed.
#pragma once

#include <optional>
#include <string>

#include "data/batch.h"

namespace crossloom::trainer {

/// "target of layer 3, row 5 of the batch (document 17, position 33): nan", the first there is;
/// nothing when all are finite.
std::optional<std::string> non_finite_place(const data::Batch& batch);

}  // namespace crossloom::trainer
