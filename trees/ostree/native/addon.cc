// The exports of the addon; native.ts states their types.
#include <napi.h>

#include "checkout.h"
#include "commit.h"
#include "delta.h"
#include "environment.h"
#include "files.h"
#include "lock.h"
#include "maintenance.h"
#include "modifier.h"
#include "mtree.h"
#include "objects.h"
#include "refs.h"
#include "repo.h"
#include "task.h"
#include "transaction.h"
#include "walk.h"
#include "write.h"

namespace {

using Method = Napi::Value (*)(const Napi::CallbackInfo &);

struct Export {
  const char *name;
  Method method;
};

constexpr Export kExports[] = {
    {"createCancellable", CreateCancellable},
    {"cancel", CancelCancellable},
    {"checkRef", CheckRef},
    {"checkPattern", CheckPattern},
    {"createRepo", CreateRepo},
    {"openRepo", OpenRepoAt},
    {"closeRepo", CloseRepo},
    {"isWritable", IsWritable},
    {"setDisableFsync", SetDisableFsync},
    {"getConfig", GetConfig},
    {"setConfig", SetConfig},
    {"reloadConfig", ReloadConfig},
    {"minFreeSpaceBytes", MinFreeSpaceBytes},
    {"listRefs", ListRefs},
    {"resolveRev", ResolveRev},
    {"setRef", SetRef},
    {"prepareTransaction", PrepareTransaction},
    {"transactionSetRef", TransactionSetRef},
    {"commitTransaction", CommitTransaction},
    {"abortTransaction", AbortTransaction},
    {"hasObject", HasObject},
    {"objectSize", ObjectSize},
    {"deleteObject", DeleteObject},
    {"listObjects", ListObjects},
    {"readCommit", ReadCommit},
    {"readCommitBytes", ReadCommitBytes},
    {"readDirTree", ReadDirTree},
    {"readDirMeta", ReadDirMeta},
    {"readDetachedMetadata", ReadDetachedMetadata},
    {"readFileInfo", ReadFileInfo},
    {"readFile", ReadFile},
    {"openFile", OpenFile},
    {"readStream", ReadStream},
    {"closeStream", CloseStream},
    {"writeDetachedMetadata", WriteDetachedMetadata},
    {"writeDirTree", WriteDirTree},
    {"writeDirTrees", WriteDirTrees},
    {"writeDirMeta", WriteDirMeta},
    {"writeRegular", WriteRegular},
    {"writeSymlink", WriteSymlink},
    {"writeCommit", WriteCommit},
    {"commitDirectory", CommitDirectory},
    {"writeDirectory", WriteDirectory},
    {"checkout", Checkout},
    {"diff", Diff},
    {"createDevInoCache", CreateDevInoCache},
    {"startWalk", StartWalk},
    {"continueWalk", ContinueWalk},
    {"commitSize", CommitSize},
    {"traverseCommit", TraverseCommit},
    {"listDeltas", ListDeltas},
    {"generateDelta", GenerateDelta},
    {"applyDelta", ApplyDelta},
    {"deltaInfo", DeltaInfo},
    {"prune", Prune},
    {"fsckObject", FsckObject},
    {"fsck", Fsck},
    {"setCommitPartial", SetCommitPartial},
    {"isCommitPartial", IsCommitPartial},
    {"lock", Lock},
    {"unlock", Unlock},
    {"createTree", CreateTree},
    {"closeTree", CloseTree},
    {"treeFromChecksums", TreeFromChecksums},
    {"treeFromCommit", TreeFromCommit},
    {"treeEnsureDirectory", TreeEnsureDirectory},
    {"treeSetFile", TreeSetFile},
    {"treeRemove", TreeRemove},
    {"treeLookup", TreeLookup},
    {"treeList", TreeList},
    {"writeTree", WriteTree},
};

Napi::Value Initialize(const Napi::CallbackInfo &info) {
  Environment::From(info.Env())->SetErrorClass(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  // G_DEBUG=fatal-warnings in somebody's environment must not turn a warning into the end of the process.
  g_log_set_always_fatal(static_cast<GLogLevelFlags>(G_LOG_FATAL_MASK));
  Environment::Create(env);
  exports.Set("initialize", Napi::Function::New(env, Initialize, "initialize"));
  for (const Export &item : kExports)
    exports.Set(item.name, Napi::Function::New(env, item.method, item.name));
  return exports;
}

} // namespace

NODE_API_MODULE(ostree, Init)
