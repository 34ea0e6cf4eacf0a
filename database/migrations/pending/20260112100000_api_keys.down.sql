-- Drops every key: nobody can call the gateway until keys are made again.
drop table app.api_key;
