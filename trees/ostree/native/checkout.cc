#include "checkout.h"

#include <fcntl.h>

#include "modifier.h"
#include "repo.h"
#include "task.h"
#include "values.h"

namespace {

// The strings and the cache that the options point into travel with them.
struct CheckoutPlan {
  OstreeRepoCheckoutAtOptions options = {};
  std::string subpath;
  Ref<OstreeRepoDevInoCache> cache;
};

CheckoutPlan ToPlan(const Napi::Value &value) {
  auto object = value.As<Napi::Object>();
  auto flag = [&object](const char *name) { return ToBool(object.Get(name)) ? TRUE : FALSE; };
  CheckoutPlan plan;
  OstreeRepoCheckoutAtOptions &options = plan.options;
  options.mode = flag("userMode") ? OSTREE_REPO_CHECKOUT_MODE_USER : OSTREE_REPO_CHECKOUT_MODE_NONE;
  options.overwrite_mode = static_cast<OstreeRepoCheckoutOverwriteMode>(ToInt(object.Get("overwrite")));
  options.no_copy_fallback = flag("noCopyFallback");
  options.force_copy = flag("forceCopy");
  options.force_copy_zerosized = flag("forceCopyZeroSized");
  options.bareuseronly_dirs = flag("bareuserOnlyDirs");
  options.process_whiteouts = flag("processWhiteouts");
  options.process_passthrough_whiteouts = flag("processPassthroughWhiteouts");
  options.enable_fsync = flag("enableFsync");
  plan.subpath = ToString(object.Get("subpath"));
  plan.cache = ToCache(object.Get("devInoCache"));
  return plan;
}

std::vector<std::string> RelativePaths(GFile *root, GPtrArray *files) {
  std::vector<std::string> paths;
  for (guint index = 0; index < files->len; ++index) {
    GString8 path(g_file_get_relative_path(root, static_cast<GFile *>(g_ptr_array_index(files, index))));
    paths.push_back(std::string("/") + (path ? path.get() : ""));
  }
  return paths;
}

} // namespace

Napi::Value Checkout(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[4], Lane::kAlone,
                     [repo = UnwrapRepo(info[0]), rev = ToString(info[1]), destination = ToString(info[2]),
                      plan = ToPlan(info[3])](Task &task) -> Result {
                       ErrorSlot error;
                       char *out = nullptr;
                       error.Check(ostree_repo_resolve_rev(repo->get(), rev.c_str(), FALSE, &out, error));
                       GString8 commit(out);
                       OstreeRepoCheckoutAtOptions options = plan.options;
                       options.subpath = plan.subpath.c_str();
                       options.devino_to_csum_cache = plan.cache.get();
                       error.Check(ostree_repo_checkout_at(repo->get(), &options, AT_FDCWD,
                                                           destination.c_str(), commit.get(), task.Cancel(),
                                                           error));
                       return nullptr;
                     });
}

Napi::Value Diff(const Napi::CallbackInfo &info) {
  return Task::Start(info.Env(), info[3], Lane::kPool,
                     [repo = UnwrapRepo(info[0]), from = ToOptionalString(info[1]),
                      to = ToString(info[2])](Task &task) -> Result {
                       ErrorSlot error;
                       Ref<GFile> before;
                       Ref<GFile> after;
                       if (from)
                         error.Check(ostree_repo_read_commit(repo->get(), from->c_str(), before.Out(),
                                                             nullptr, task.Cancel(), error));
                       error.Check(ostree_repo_read_commit(repo->get(), to.c_str(), after.Out(), nullptr,
                                                           task.Cancel(), error));
                       Ref<GPtrArray> modified(g_ptr_array_new_with_free_func([](gpointer item) {
                         ostree_diff_item_unref(static_cast<OstreeDiffItem *>(item));
                       }));
                       Ref<GPtrArray> removed(g_ptr_array_new_with_free_func(g_object_unref));
                       Ref<GPtrArray> added(g_ptr_array_new_with_free_func(g_object_unref));
                       error.Check(ostree_diff_dirs(OSTREE_DIFF_FLAGS_NONE, before.get(), after.get(),
                                                    modified.get(), removed.get(), added.get(), task.Cancel(),
                                                    error));
                       std::vector<std::vector<std::string>> lists(3);
                       lists[0] = RelativePaths(after.get(), added.get());
                       if (before)
                         lists[1] = RelativePaths(before.get(), removed.get());
                       for (guint index = 0; index < modified.get()->len; ++index) {
                         auto *item = static_cast<OstreeDiffItem *>(g_ptr_array_index(modified.get(), index));
                         GString8 path(g_file_get_relative_path(before.get(), item->src));
                         lists[2].push_back(std::string("/") + (path ? path.get() : ""));
                       }
                       return [lists = std::move(lists)](Napi::Env env) -> Napi::Value {
                         auto array = Napi::Array::New(env, 3);
                         for (uint32_t index = 0; index < 3; ++index)
                           array.Set(index, StringsToJs(env, lists[index]));
                         return array;
                       };
                     });
}
