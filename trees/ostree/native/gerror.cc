#include "gerror.h"

#include <utility>

GlibError::GlibError(const GError *error)
    : message_(error->message), domain_(g_quark_to_string(error->domain)), code_(error->code) {}

GlibError::GlibError(std::string message, GIOErrorEnum code)
    : message_(std::move(message)), domain_(g_quark_to_string(G_IO_ERROR)), code_(code) {}

void ErrorSlot::Throw() const {
  // A g_return_val_if_fail() guard fails without setting an error.
  if (error_ == nullptr)
    throw GlibError("libostree refused the call without saying why", G_IO_ERROR_FAILED);
  throw GlibError(error_);
}
