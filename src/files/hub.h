// The Hugging Face hub: what files a repository holds at a revision, which of them make up a model, and where each is.
// Everything the hub says is untrusted: names are parsed, digests and sizes have their form.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/digest.h"
#include "files/hub_name.h"

namespace fathom::files {

struct HubAccess {
  std::string endpoint = "https://huggingface.co";
  std::string token;  // empty: anonymous
  // Tries without progress before a broken connection is given up, and the pause before the second try, which doubles.
  int attempts = 6;
  int first_pause_ms = 500;
  int stall_seconds = 30;

  // HF_ENDPOINT and HF_TOKEN. Errors: an endpoint that is no web address, or would carry the token in the clear.
  static base::Result<HubAccess> from_environment();
};

struct HubFile {
  std::string path;  // inside the repository; plain segments
  ExpectedDigest digest;

  std::uint64_t bytes() const { return digest.bytes; }
  std::string_view name() const { return std::string_view(path).substr(path.rfind('/') + 1); }
};

struct HubListing {
  std::string commit;
  std::vector<HubFile> files;
};

// What a repository holds at the revision asked for. Errors: unknown, refused, unreachable, stopped.
base::Result<HubListing> list_files(const HubAccess& access, const HubName& name, std::stop_token stop);

// The listing out of the hub's answer; apart so that it can be tested and fuzzed.
base::Result<HubListing> parse_listing(std::string_view json, const HubName& name);

// The files of one model. With a choice: the GGUF of that quant, or the file of that path (a part of a set stands for
// the set). Without: safetensors with the JSON beside them where there are any, else the GGUF of the quant that suits
// most machines. Errors list what there is.
base::Result<std::vector<HubFile>> choose_files(const HubListing& listing, const HubName& name);

// "Q4_K_M" of "DeepSeek-V3-Q4_K_M-00001-of-00009.gguf", "UD-Q2_K_XL" of "...-UD-Q2_K_XL.gguf"; upper case, or empty.
std::string quant_of(std::string_view file_name);

// A choice in one spelling: a quant in upper case ("q8_0"), the path of a file as it is.
std::string spelled_choice(std::string_view choice);

std::string file_url(const HubAccess& access, const HubName& name, const std::string& commit, std::string_view path);

}  // namespace fathom::files
