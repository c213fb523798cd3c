#include "trainer/parameter_states.h"

namespace crossloom::trainer {

Stored stored_type(const std::string& states) {
  require_one_of("adam.states", states, {"full", "bfloat16", "8bit"});
  return states == "8bit" ? Stored::kByte : states == "bfloat16" ? Stored::kHalf : Stored::kFloat;
}

ParameterStates::ParameterStates(const std::vector<architectures::Parameter>& parameters,
                                 const FlatLayout& layout, const Range& own,
                                 const AdamOptions& options) {
  const Stored wanted = stored_type(options.states);
  for (size_t p = 0; p < parameters.size(); ++p) {
    const at::Tensor& value = parameters[p].value;
    ParameterState state;
    state.type = value.dim() > 1 ? wanted : Stored::kFloat;
    state.part = layout.part(p, own);
    state.row = value.size(-1);
    const auto moment = [&](at::ScalarType byte) {
      return at::zeros({state.part.count()}, state.type == Stored::kByte   ? byte
                                             : state.type == Stored::kHalf ? at::kBFloat16
                                                                           : at::kFloat);
    };
    const auto scales = [&] {
      return state.type == Stored::kByte ? at::zeros({state.block(state.part.end)}, at::kFloat)
                                         : at::Tensor();
    };
    if (options.beta1 > 0.0) {
      state.first = moment(at::kChar);
      state.first_scales = scales();
    }
    state.second = moment(at::kByte);
    state.second_scales = scales();
    names_.push_back(parameters[p].name);
    states_.push_back(std::move(state));
  }
}

std::vector<std::pair<std::string, at::Tensor>> ParameterStates::tensors() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (size_t p = 0; p < states_.size(); ++p) {
    const ParameterState& state = states_[p];
    for (const auto& [prefix, tensor] : {std::pair{"m", state.first},
                                         {"m_scale", state.first_scales},
                                         {"v", state.second},
                                         {"v_scale", state.second_scales}}) {
      if (tensor.defined()) {
        all.emplace_back(fmt::format("{}.{}", prefix, names_[p]), tensor);
      }
    }
  }
  return all;
}

int64_t ParameterStates::bytes() const {
  int64_t sum = 0;
  for (const auto& [name, tensor] : tensors()) {
    sum += static_cast<int64_t>(tensor.nbytes());
  }
  return sum;
}

}  // namespace crossloom::trainer
