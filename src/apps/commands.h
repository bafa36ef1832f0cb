// The program's commands, apart from the reading of their flags (fathom.cpp). Each returns what was wrong, in one line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/loaded_model.h"
#include "server/request_log.h"
#include "server/server_database.h"
#include "server/usage_ledger.h"

namespace fathom::apps {

using Status = base::Result<void>;

// Flags of every command that runs a model.
struct ModelFlags {
  std::string model;
  int threads = 0;
  int context = 0;
  int prefill_cell = 0;
  std::string cache_type;
  std::string draft;  // a small model that guesses for it; "": none
  std::optional<std::uint64_t> seed;
  std::uint64_t cache_memory = 0;  // bytes; 0: what the weights leave
};

// Flags that override the model's recommended sampling.
struct SamplingFlags {
  std::optional<float> temperature, top_p, min_p, repetition_penalty, frequency_penalty, presence_penalty;
  std::optional<int> top_k;
};

engine::LoadOptions load_options(const ModelFlags& flags);
engine::SamplingOptions apply(const SamplingFlags& flags, engine::SamplingOptions sampling);
// On standard error, where no flag chose it: how many tokens a sequence may have.
void say_context(const ModelFlags& flags, int context);

// MODEL (a catalogue name, a path, or hf:owner/repo) to a path. Errors: nothing of that name, with what is near it.
base::Result<std::string> resolve_model(const std::string& model);
base::Result<std::unique_ptr<engine::LoadedModel>> open_model(const ModelFlags& flags,
                                                              engine::EngineOptions engine_options = {});

base::Result<std::string> read_text(const std::string& path);  // "-" is standard input
base::Result<std::vector<tokens::TokenId>> parse_ids(std::string_view text, const std::string& name);

struct GenerateFlags : ModelFlags {
  SamplingFlags sampling;
  std::optional<std::string> prompt;
  std::string prompt_file, system;
  int max_tokens = -1;
  bool raw = false, json = false;
  std::optional<bool> thinking;
};
Status generate(const GenerateFlags& flags);

struct ChatFlags : ModelFlags {  // without a model: the default one
  SamplingFlags sampling;
  std::string system;  // a text, or @FILE
  int max_tokens = -1;
  std::optional<bool> thinking;
  bool no_server = false;  // load the model here even where a running server has it
};
Status chat(const ChatFlags& flags);
base::Result<std::string> system_prompt(const std::string& text_or_file);

struct InspectFlags {
  std::string model;
  bool machine = false, json = false;
};
Status inspect(const InspectFlags& flags);

struct TokenizeFlags {
  std::string model, file;
  bool specials = false;
};
Status tokenize(const TokenizeFlags& flags);
Status detokenize(const TokenizeFlags& flags);

struct RenderFlags {
  std::string model, messages, tools;
  std::optional<bool> thinking;
  bool generation_prompt = true;
};
Status render(const RenderFlags& flags);

struct LogitsFlags : ModelFlags {
  std::string tokens_file, out;
  bool mtp = false;
};
Status logits(const LogitsFlags& flags);

struct PerplexityFlags : ModelFlags {
  std::string file;
  bool json = false;
};
Status perplexity(const PerplexityFlags& flags);

struct BenchFlags : ModelFlags {
  std::vector<int> prefill{512}, depth{0};
  int decode = 64;
  bool json = false;
};
Status bench(const BenchFlags& flags);

struct QuantizeFlags {
  std::string model, out, type;
  int threads = 0;
};
Status quantize(const QuantizeFlags& flags);
std::vector<std::string> quantize_types();

struct StoreFlags {
  std::string model;
};
Status pull(const StoreFlags& flags);
Status remove(const StoreFlags& flags);

struct ListFlags {
  bool all = false, json = false;
};
Status list(const ListFlags& flags);

struct ServedModel {
  std::string name;   // by which requests ask for it; "": by the model's own
  std::string model;  // as MODEL
};

struct ServeFlags : ModelFlags {
  std::vector<std::string> models;      // of the command line; they stay loaded unless memory is needed
  std::vector<ServedModel> configured;  // of the configuration
  server::PriceList prices;             // of the configuration; empty: nothing costs anything
  std::uint64_t memory = 0;             // bytes for all models together; 0: what this process may take
  std::string keep_alive = "15m";       // how long one of the others stays loaded without being used
  double drain = 10;                    // seconds that running answers have to end when the server is to stop
  std::string host = "127.0.0.1";
  int port = 8000;
  std::string config;  // fathom.toml; "": none
  std::string api_key, proxy, tls_certificate, tls_key;
  std::vector<std::string> allowed_origins;
  bool open = false;
  std::string cache_folder;                           // empty: below the data folder
  std::uint64_t cache_disk = std::uint64_t{8} << 30;  // bytes; 0: nothing is kept on disk
  bool share_prefixes = false;
  std::string chat_data;  // the folder of the conversations; "": within the data folder
  bool no_chat = false;   // the API and nothing that keeps conversations
  server::LogOptions log;
  int queue_limit = 600, write_limit = 30;  // seconds
};
Status serve(const ServeFlags& flags);

struct LoadedFlags {
  std::string model;  // for unload; "": all
  bool json = false;
};
Status list_loaded(const LoadedFlags& flags);
Status unload(const LoadedFlags& flags);

struct KeyFlags {
  std::string name, scope = "api";
  std::optional<std::int64_t> requests_per_minute, tokens_per_minute, concurrent;
  std::optional<double> budget;  // of the currency
};
Status add_key(const KeyFlags& flags);
Status list_keys();
Status limit_key(const KeyFlags& flags);
Status revoke_key(const KeyFlags& flags);

struct BackupFlags {
  std::string file;
  std::string chat_data;  // as ServeFlags'
};
Status backup(const BackupFlags& flags);
Status restore(const BackupFlags& flags);

struct UsageFlags {
  std::string from, to, key;
  bool json = false;
};
Status usage(const UsageFlags& flags);

// What a configuration file says besides flags. Errors: what is wrong with the file, and its line.
struct ServeConfig {
  std::vector<ServedModel> models;
  server::PriceList prices;
  struct Setting {  // of a flag, under its name with "_" for "-"
    std::string key;
    std::vector<std::string> values;
    std::uint32_t line = 0;
  };
  std::vector<Setting> settings;
};
base::Result<ServeConfig> read_serve_config(const std::string& path);

// Keys and usage of this machine's servers.
base::Result<std::shared_ptr<server::ServerDatabase>> open_server_database();

}  // namespace fathom::apps
