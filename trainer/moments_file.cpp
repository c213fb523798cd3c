#include "trainer/moments_file.h"

#include <cstring>

#include "common/json_file.h"
#include "trainer/weights_file.h"

namespace crossloom::trainer {
namespace {

int64_t metadata_number(const TensorFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end() || found->second.empty() ||
      found->second.find_first_not_of("0123456789") != std::string::npos) {
    fail_json_field(key, "a whole number", "something else", file.source());
  }
  return std::stoll(found->second);
}

/// What the file holds of the flat vector. Files in few bytes once came from one rank alone and did
/// not say it.
Range range_of(const TensorFile& file, const FlatLayout& layout) {
  if (file.metadata().empty()) {
    return {0, layout.total()};
  }
  return {metadata_number(file, "begin"), metadata_number(file, "end")};
}

/// Of a tensor of `length` elements those from `first` on, as many as `into` takes.
void copy_stretch(const TensorFile& file, const std::string& name, int64_t length, int64_t first,
                  const at::Tensor& into) {
  const TensorEntry& entry = file.at(name);
  require_entry(entry, dtype_of(into), {length}, fmt::format("{}, {}", file.source(), name));
  if (into.numel() > 0) {
    std::memcpy(into.mutable_data_ptr(), entry.bytes.data() + first * into.element_size(),
                into.nbytes());
  }
}

void read_exact(const TensorFile& file, const Range& held, const Moments& moments) {
  const Range both = overlap(moments.own, held);
  const auto read = [&](const char* name, const at::Tensor& moment) {
    copy_stretch(file, name, held.count(), both.begin - held.begin,
                 moment.narrow(0, both.begin - moments.own.begin, both.count()));
  };
  if (both.count() > 0) {
    read("m", moments.first);
    read("v", moments.second);
  }
}

void read_few_bytes(const TensorFile& file, const Range& held, const FlatLayout& layout,
                    const ParameterStates& states) {
  for (size_t p = 0; p < states.count(); ++p) {
    const ParameterState& state = states.of(p);
    const Range in_file = layout.part(p, held);
    const Range both = overlap(state.part, in_file);
    if (both.count() == 0) {
      continue;
    }
    const auto read = [&](const char* prefix, const at::Tensor& into, auto&& place) {
      if (into.defined()) {
        copy_stretch(file, fmt::format("{}.{}", prefix, states.name(p)),
                     place(in_file.end) - place(in_file.begin),
                     place(both.begin) - place(in_file.begin),
                     into.narrow(0, place(both.begin), place(both.end) - place(both.begin)));
      }
    };
    const auto element = [&](int64_t i) { return state.place(i); };
    const auto block = [&](int64_t i) { return state.block(i); };
    read("m", state.first, element);
    read("v", state.second, element);
    read("m_scale", state.first_scales, block);
    read("v_scale", state.second_scales, block);
  }
}

}  // namespace

std::string moments_file(int64_t rank) {
  return fmt::format("optimizer-{}.safetensors", rank);
}

void write_moments_file(const std::string& path, const Step& step) {
  std::vector<TensorToWrite> tensors;
  if (const auto* states = step.states()) {
    for (const auto& [name, tensor] : states->tensors()) {
      tensors.push_back(to_write(name, tensor));
    }
  } else {
    tensors = {to_write("m", step.moments().first), to_write("v", step.moments().second)};
  }
  const Range own = step.owned();
  write_tensor_file(path, tensors,
                    {{"begin", fmt::format("{}", own.begin)},
                     {"end", fmt::format("{}", own.end)},
                     {"total", fmt::format("{}", step.layout().total())}});
}

void read_moments_file(const std::string& path, Step& step) {
  const TensorFile file(path);
  const Range held = range_of(file, step.layout());
  if (const auto* states = step.states()) {
    read_few_bytes(file, held, step.layout(), *states);
  } else {
    read_exact(file, held, step.moments());
  }
}

}  // namespace crossloom::trainer
