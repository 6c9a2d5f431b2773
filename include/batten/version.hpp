// SPDX-License-Identifier: MIT
// The one place where the version is written; CMake reads it from here.
#ifndef BATTEN_VERSION_HPP_INCLUDED
#define BATTEN_VERSION_HPP_INCLUDED

#define BATTEN_VERSION_MAJOR 0
#define BATTEN_VERSION_MINOR 1
#define BATTEN_VERSION_PATCH 0

#endif
