// What the model reads of attached files: small ones whole, of large ones the passages that fit the question; each
// under a number by which the answer may cite it.
#pragma once

#include "chat/store.h"
#include "engine/loaded_model.h"
#include "server/app/call.h"

namespace fathom::server::app {

// Tokens that the files of one question may take of a context, whole, and up to which a file counts as small.
int most_file_tokens(int context_length);

// The contract's Sources for an answer to `question`, which has files: an array.
AppResult<Json> choose_sources(const chat::Store& store, const chat::Message& question,
                               const engine::LoadedModel& model);

// A question as the model reads it: what the sources name, then its own words.
AppResult<std::string> question_with_sources(const chat::Store& store, const std::string& question,
                                             const Json& sources);

// Puts what belongs to them into the questions of a path that have files. An answer on the path says what its question
// was given; gives the sources of the answer that the path ends before, null where there are none.
AppResult<Json> put_files_into(std::vector<chat::Message>& path, const chat::Store& store,
                               const engine::LoadedModel& model);

}  // namespace fathom::server::app
