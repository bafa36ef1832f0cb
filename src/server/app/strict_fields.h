// A JSON object of the contract, read strictly: a field that the contract does not name is an error, so that nothing a
// page asks for is dropped in silence.
#pragma once

#include <initializer_list>

#include "server/app/call.h"
#include "server/field_reader.h"

namespace fathom::server::app {

// The body as an object. 400 where it is none.
AppResult<Json> read_object(const Request& request);

class StrictFields : public FieldReader {
 public:
  // `where` stands before the names in messages, as "conversation." does.
  StrictFields(const Json& object, std::initializer_list<std::string_view> known, std::string where = {});

  // A text of `most` bytes at most, at least one where it is there.
  std::optional<std::string> text_of(const char* name, std::size_t most);
  std::optional<std::string> id(const char* name);
  // An array of ids, empty where it is absent.
  std::vector<std::string> ids(const char* name, std::size_t most);
  std::string required_id(const char* name);
  std::string required_text(const char* name, std::size_t most);
  // The first thing that was wrong, as the contract's error.
  std::optional<AppError> wrong() const;

 private:
  std::string where_;
};

}  // namespace fathom::server::app
