// "hf:owner/repo[@revision][:choice]", parsed strictly: what passes here is safe in a URL and in the name of a folder.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace fathom::files {

struct HubName {
  std::string owner, repo;
  std::string revision = "main";
  std::string choice;  // a quant ("Q4_K_M"), the path of a file in the repository, or empty: what choose_files prefers

  std::string repo_id() const { return owner + "/" + repo; }
  std::string text() const;  // as a person would type it
};

// `text` with or without "hf:". Errors name the form.
base::Result<HubName> parse_hub_name(std::string_view text);

}  // namespace fathom::files
