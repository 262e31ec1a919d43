// Owning pointers for GLib's reference-counted types. Copying takes a reference, so lambdas can capture them.
#pragma once

#include <ostree.h>

#include <memory>
#include <utility>

template <class T> struct RefTraits {
  static void Ref(T *pointer) { g_object_ref(pointer); }
  static void Unref(T *pointer) { g_object_unref(pointer); }
};
template <> struct RefTraits<GVariant> {
  static void Ref(GVariant *pointer) { g_variant_ref(pointer); }
  static void Unref(GVariant *pointer) { g_variant_unref(pointer); }
};
template <> struct RefTraits<GBytes> {
  static void Ref(GBytes *pointer) { g_bytes_ref(pointer); }
  static void Unref(GBytes *pointer) { g_bytes_unref(pointer); }
};
template <> struct RefTraits<GHashTable> {
  static void Ref(GHashTable *pointer) { g_hash_table_ref(pointer); }
  static void Unref(GHashTable *pointer) { g_hash_table_unref(pointer); }
};
template <> struct RefTraits<GPtrArray> {
  static void Ref(GPtrArray *pointer) { g_ptr_array_ref(pointer); }
  static void Unref(GPtrArray *pointer) { g_ptr_array_unref(pointer); }
};
template <> struct RefTraits<GRegex> {
  static void Ref(GRegex *pointer) { g_regex_ref(pointer); }
  static void Unref(GRegex *pointer) { g_regex_unref(pointer); }
};
template <> struct RefTraits<GKeyFile> {
  static void Ref(GKeyFile *pointer) { g_key_file_ref(pointer); }
  static void Unref(GKeyFile *pointer) { g_key_file_unref(pointer); }
};
template <> struct RefTraits<GMappedFile> {
  static void Ref(GMappedFile *pointer) { g_mapped_file_ref(pointer); }
  static void Unref(GMappedFile *pointer) { g_mapped_file_unref(pointer); }
};
template <> struct RefTraits<OstreeRepoDevInoCache> {
  static void Ref(OstreeRepoDevInoCache *pointer) { ostree_repo_devino_cache_ref(pointer); }
  static void Unref(OstreeRepoDevInoCache *pointer) { ostree_repo_devino_cache_unref(pointer); }
};
template <> struct RefTraits<OstreeRepoCommitModifier> {
  static void Ref(OstreeRepoCommitModifier *pointer) { ostree_repo_commit_modifier_ref(pointer); }
  static void Unref(OstreeRepoCommitModifier *pointer) { ostree_repo_commit_modifier_unref(pointer); }
};

template <class T> class Ref {
public:
  Ref() = default;
  // Takes over the caller's reference.
  explicit Ref(T *owned) : pointer_(owned) {}
  Ref(const Ref &other) : pointer_(other.pointer_) {
    if (pointer_ != nullptr)
      RefTraits<T>::Ref(pointer_);
  }
  Ref(Ref &&other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
  Ref &operator=(Ref other) noexcept {
    std::swap(pointer_, other.pointer_);
    return *this;
  }
  ~Ref() { Reset(); }

  // Takes a reference of its own.
  static Ref Share(T *borrowed) {
    if (borrowed != nullptr)
      RefTraits<T>::Ref(borrowed);
    return Ref(borrowed);
  }

  T *get() const { return pointer_; }
  explicit operator bool() const { return pointer_ != nullptr; }
  // For out-parameters.
  T **Out() {
    Reset();
    return &pointer_;
  }
  T *Release() { return std::exchange(pointer_, nullptr); }
  void Reset() {
    if (pointer_ != nullptr)
      RefTraits<T>::Unref(std::exchange(pointer_, nullptr));
  }

private:
  T *pointer_ = nullptr;
};

// Sinks the floating reference that GVariant constructors return.
inline Ref<GVariant> SinkVariant(GVariant *variant) {
  return Ref<GVariant>(g_variant_ref_sink(variant));
}

struct GFree {
  void operator()(void *pointer) const { g_free(pointer); }
};
using GString8 = std::unique_ptr<char, GFree>;
using GBlob = std::unique_ptr<guchar, GFree>;
