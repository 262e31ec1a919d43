#include "refs.h"

#include "repo.h"
#include "task.h"
#include "values.h"

Napi::Value CheckRef(const Napi::CallbackInfo &info) {
  ErrorSlot error;
  GString8 remote;
  GString8 ref;
  char *remote_out = nullptr;
  char *ref_out = nullptr;
  bool valid = ostree_parse_refspec(ToString(info[0]).c_str(), &remote_out, &ref_out, error) != FALSE;
  remote.reset(remote_out);
  ref.reset(ref_out);
  if (valid)
    return info.Env().Undefined();
  return Napi::String::New(info.Env(), error.get()->message);
}

Napi::Value ListRefs(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), prefix = ToOptionalString(info[1])](Task &task) -> Result {
        ErrorSlot error;
        Ref<GHashTable> refs;
        // The plain call would strip the prefix from the names.
        error.Check(ostree_repo_list_refs_ext(repo->get(), OrNull(prefix), refs.Out(),
                                              OSTREE_REPO_LIST_REFS_EXT_NONE, task.Cancel(), error));
        std::vector<std::string> flat;
        GHashTableIter iterator;
        gpointer name = nullptr;
        gpointer checksum = nullptr;
        g_hash_table_iter_init(&iterator, refs.get());
        while (g_hash_table_iter_next(&iterator, &name, &checksum)) {
          flat.emplace_back(static_cast<const char *>(name));
          flat.emplace_back(static_cast<const char *>(checksum));
        }
        return [flat = std::move(flat)](Napi::Env env) -> Napi::Value { return StringsToJs(env, flat); };
      });
}

Napi::Value ResolveRev(const Napi::CallbackInfo &info) {
  return Task::Start(
      info.Env(), info.Env().Undefined(), Lane::kPool,
      [repo = UnwrapRepo(info[0]), rev = ToString(info[1]), allow = ToBool(info[2])](Task &) -> Result {
        ErrorSlot error;
        char *out = nullptr;
        error.Check(ostree_repo_resolve_rev(repo->get(), rev.c_str(), allow ? TRUE : FALSE, &out, error));
        GString8 checksum(out);
        std::optional<std::string> text;
        if (checksum)
          text = checksum.get();
        return [text](Napi::Env env) { return OptionalToJs(env, text); };
      });
}

Napi::Value SetRef(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info.Env().Undefined(), Lane::kPool,
                     [repo = UnwrapRepo(info[0]), refspec = ToString(info[1]),
                      checksum = ToOptionalString(info[2])](Task &task) -> Result {
                       ErrorSlot error;
                       char *remote_out = nullptr;
                       char *ref_out = nullptr;
                       error.Check(ostree_parse_refspec(refspec.c_str(), &remote_out, &ref_out, error));
                       GString8 remote(remote_out);
                       GString8 ref(ref_out);
                       error.Check(ostree_repo_set_ref_immediate(repo->get(), remote.get(), ref.get(),
                                                                 OrNull(checksum), task.Cancel(), error));
                       return nullptr;
                     });
}
