#include "data/window_buffer.h"

#include <algorithm>
#include <cstring>

namespace crossloom::data {

void WindowBuffer::load(std::span<const int64_t> blocks) {
  if (std::equal(blocks.begin(), blocks.end(), held_.begin(), held_.end())) {
    return;
  }
  held_.clear();  // stays empty when a read fails
  const ShardFields& fields = set_.fields();
  const int64_t chunk_rows = set_.chunk_rows();
  data_.resize(blocks.size());
  for (size_t slot = 0; slot < blocks.size(); ++slot) {
    const Block& block = set_.blocks()[size_t(blocks[slot])];
    data_[slot].resize(size_t(fields.all_row_bytes() * chunk_rows));
    for (int64_t field = 0; field < fields.count(); ++field) {
      const auto part =
          std::span(data_[slot])
              .subspan(size_t(field_offset(field)), size_t(chunk_rows * fields.row_bytes(field)));
      set_.shard(block.shard).read_chunk(field, block.chunk, part);
      bytes_read_ += int64_t(part.size());
    }
  }
  held_.assign(blocks.begin(), blocks.end());
}

int64_t WindowBuffer::field_offset(int64_t field) const {
  const ShardIdentity& id = set_.identity();
  const int64_t inputs = std::min(field, id.layers);
  const int64_t targets = std::clamp<int64_t>(field - id.layers, 0, id.layers);
  int64_t row_bytes = 2 * (inputs * id.width_in + targets * id.width_out);
  for (int64_t ids = set_.fields().tokens(); ids < field; ++ids) {
    row_bytes += set_.fields().row_bytes(ids);
  }
  return row_bytes * set_.chunk_rows();
}

void WindowBuffer::gather(std::span<const int64_t> rows, int64_t at, Batch& into) const {
  std::vector<Source> sources;
  sources.reserve(rows.size());
  for (const int64_t row : rows) {
    const int64_t block = set_.block_of(row);
    const auto found = std::find(held_.begin(), held_.end(), block);
    CROSSLOOM_CHECK(found != held_.end(), "row {} lies in block {}, which is not held", row, block);
    sources.push_back({found - held_.begin(), row - set_.blocks()[size_t(block)].first_row});
  }
  const ShardFields& fields = set_.fields();
  for (int64_t layer = 0; layer < set_.identity().layers; ++layer) {
    copy_field(fields.inputs(layer), sources, at, into.x[size_t(layer)]);
    copy_field(fields.targets(layer), sources, at, into.y[size_t(layer)]);
  }
  copy_field(fields.tokens(), sources, at, into.tokens);
  copy_field(fields.documents(), sources, at, into.documents);
  copy_field(fields.positions(), sources, at, into.positions);
}

void WindowBuffer::copy_field(int64_t field, std::span<const Source> sources, int64_t at,
                              at::Tensor& into) const {
  const auto row_bytes = size_t(set_.fields().row_bytes(field));
  const auto offset = size_t(field_offset(field));
  auto* to = static_cast<std::byte*>(into.mutable_data_ptr()) + size_t(at) * row_bytes;
  for (const Source& source : sources) {
    std::memcpy(to, data_[size_t(source.slot)].data() + offset + size_t(source.row) * row_bytes,
                row_bytes);
    to += row_bytes;
  }
}

Batch make_batch(const ShardSet& set, int64_t rows) {
  const ShardIdentity& id = set.identity();
  Batch batch;
  for (int64_t layer = 0; layer < id.layers; ++layer) {
    batch.x.push_back(at::empty({rows, id.width_in}, at::kBFloat16));
    batch.y.push_back(at::empty({rows, id.width_out}, at::kBFloat16));
  }
  batch.tokens = at::empty({rows}, at::kInt);
  batch.documents = at::empty({rows}, at::kLong);
  batch.positions = at::empty({rows}, at::kInt);
  return batch;
}

Batch read_rows(const ShardSet& set, std::span<const int64_t> rows) {
  Batch batch = make_batch(set, int64_t(rows.size()));
  WindowBuffer buffer(set);
  size_t done = 0;
  while (done < rows.size()) {
    const int64_t block = set.block_of(rows[done]);
    const Block& b = set.blocks()[size_t(block)];
    size_t end = done;
    while (end < rows.size() && rows[end] >= b.first_row && rows[end] < b.first_row + b.rows) {
      ++end;
    }
    buffer.load(std::span(&block, 1));
    buffer.gather(rows.subspan(done, end - done), int64_t(done), batch);
    done = end;
  }
  return batch;
}

}  // namespace crossloom::data
