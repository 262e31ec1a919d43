// Composes a base and layers: directory metadata only, no file is ever opened.
#pragma once

#include "objects.h"

namespace trees::store {

struct ComposeOptions {
  // The repository, then its parents.
  std::vector<std::string> repositories;
  Checksum base;
  // Bottom first.
  std::vector<Checksum> layers;
};

struct Composed {
  Root root;
  // Directory objects that no input has, children before parents.
  std::vector<Bytes> directories;
};

// Layers mark removals as OCI image layers do (image-spec, layer.md): `.wh.NAME` hides NAME of what is below,
// `.wh..wh..opq` hides everything that is below in its directory; both only ever hide lower layers' entries,
// and neither is in the result. A layer's directory metadata wins. Only directories that a layer has are
// read, everything else is reused by checksum. The result depends on nothing but the inputs. Throws Failure
// LAYER_INVALID naming the path, STORE_CORRUPT.
Composed compose(const ComposeOptions &options, Job &job);

} // namespace trees::store
