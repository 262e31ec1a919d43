// Opaque JavaScript objects that own a C++ one. A type tag keeps one kind from passing for another.
#pragma once

#include <napi.h>

#include <memory>

template <class T> struct HandleTag { static const napi_type_tag tag; };

template <class T> Napi::Object Wrap(Napi::Env env, std::shared_ptr<T> value) {
  Napi::Object object = Napi::Object::New(env);
  auto box = std::make_unique<std::shared_ptr<T>>(std::move(value));
  napi_status status = napi_wrap(
      env, object, box.get(),
      [](napi_env, void *data, void *) { delete static_cast<std::shared_ptr<T> *>(data); }, nullptr, nullptr);
  if (status != napi_ok)
    throw Napi::Error::New(env, "cannot create a handle");
  static_cast<void>(box.release());
  if (napi_type_tag_object(env, object, &HandleTag<T>::tag) != napi_ok)
    throw Napi::Error::New(env, "cannot tag a handle");
  return object;
}

template <class T> std::shared_ptr<T> Unwrap(const Napi::Value &value) {
  bool matches = false;
  void *data = nullptr;
  if (!value.IsObject() ||
      napi_check_object_type_tag(value.Env(), value, &HandleTag<T>::tag, &matches) != napi_ok || !matches ||
      napi_unwrap(value.Env(), value, &data) != napi_ok)
    throw Napi::TypeError::New(value.Env(), "Expected handle to be one of this addon's, got something else");
  return *static_cast<std::shared_ptr<T> *>(data);
}
