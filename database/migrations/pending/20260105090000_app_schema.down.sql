-- app_service stays: a role belongs to the whole cluster, and other databases may grant to it.
drop schema app;
