// SPDX-License-Identifier: GPL-2.0
//
// stapctl: a policy as people write it, in JSON, and as the kernel takes it (uapi/stap.h).
//
//   {
//     "recv": {
//       "framing": { "delimiter": "\r\n", "maximum": 8192 },
//       "rules": [
//         { "prefix": "GET /admin", "verdict": "drop" },
//         { "offset": 4, "hex": "0a00", "mask": "ff00", "verdict": "disconnect" },
//         { "offset": 2, "width": 2, "order": "big", "value": 80, "verdict": "ok" }
//       ],
//       "default": "ok"
//     }
//   }
//
// "send" and "recv" are the directions; one that is missing is not tapped. Framing is "none",
// { "fixed": bytes }, { "delimiter": text } or { "delimiter_hex": hex } or { "length": { "offset",
// "width", "order": "big" or "little", "header": bytes, "counts": "payload" or "message" } }, the
// latter two with "maximum" if there is one. A rule compares "prefix" (at 0), or at its "offset"
// "text" or "hex", or a number "value" of "width" 1, 2, 4 or 8 bytes; "mask" is hex for bytes and a
// number for a number. Names that mean nothing are errors.
#pragma once

#include <stap.h>

#include <string>
#include <vector>

namespace bpfilter::stapctl {

// The value of the option STAP_POLICY. Throws std::runtime_error with what is wrong where.
std::vector<std::byte> parse_policy(const std::string &text);
std::vector<std::byte> read_policy(const std::string &path);

} // namespace bpfilter::stapctl
