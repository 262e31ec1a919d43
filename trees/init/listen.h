// Sockets that services get when they are started (socket activation, sd_listen_fds(3)).
#pragma once
#include "../launcher/plan.h"

// Opens the socket of a PLAN_LINK_LISTEN link. `owner` and `group` get a unix socket's file. -1 and errno on
// failure.
int listen_open(const struct plan *plan, const struct plan_service_link *link, unsigned owner,
                unsigned group);
