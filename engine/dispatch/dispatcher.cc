// The dispatcher.
#include "engine/dispatch/dispatcher.hpp"
