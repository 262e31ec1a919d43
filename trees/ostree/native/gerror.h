// GErrors as C++ exceptions on worker threads, and as OstreeError objects in JavaScript.
#pragma once

#include <gio/gio.h>

#include <exception>
#include <string>

class GlibError : public std::exception {
public:
  // Copies the error.
  explicit GlibError(const GError *error);
  GlibError(std::string message, GIOErrorEnum code);

  const char *what() const noexcept override { return message_.c_str(); }
  const std::string &Message() const { return message_; }
  const std::string &Domain() const { return domain_; }
  int Code() const { return code_; }

private:
  std::string message_;
  std::string domain_;
  int code_;
};

// The GError** argument of one call: `ErrorSlot error; error.Check(call(…, error));`
class ErrorSlot {
public:
  ErrorSlot() = default;
  ErrorSlot(const ErrorSlot &) = delete;
  ErrorSlot &operator=(const ErrorSlot &) = delete;
  ~ErrorSlot() { g_clear_error(&error_); }

  operator GError **() { return &error_; } // NOLINT(google-explicit-constructor)
  const GError *get() const { return error_; }
  bool Matches(GIOErrorEnum code) const {
    return g_error_matches(error_, G_IO_ERROR, static_cast<int>(code)) != FALSE;
  }
  // Throws GlibError unless the call succeeded.
  void Check(bool ok) const {
    if (!ok)
      Throw();
  }
  [[noreturn]] void Throw() const;

private:
  GError *error_ = nullptr;
};
