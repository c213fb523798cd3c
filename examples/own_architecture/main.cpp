// Crossloom with one architecture more: `plt-groupmax`, per-layer decoders with GroupMax. All
// commands know it: own_crossloom train --transcoder.architecture plt-groupmax …
#include <architectures/composed_transcoder.h>
#include <architectures/plt.h>
#include <architectures/registry.h>
#include <launch/program.h>

#include "groupmax.h"

using namespace crossloom::architectures;

int main(int argc, char** argv) {
  Registry::instance().add(
      {.name = "plt-groupmax",
       .topology = "plt",
       .activation = "groupmax",
       .skip = false,
       .create = [](const TranscoderOptions& options, const TranscoderShape& shape,
                    at::ScalarType type) -> std::unique_ptr<Transcoder> {
         return std::make_unique<ComposedTranscoder>(
             options, shape, type, std::make_unique<own::GroupMax>(options.k, shape.features),
             std::make_unique<Plt>(shape, type), /*with_skip=*/false);
       }});
  return crossloom::launch::run_program(argc, argv);
}
