//! What a file does for operations: the classes, and the words and commands that speak for each.

use Class::*;

/// The function of a file. Where it lies in the layout follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Migrations,
    Schema,
    Queries,
    Seeds,
    Backups,
    Maintenance,
    Deployment,
    Services,
    Setup,
    Monitoring,
    DataManagement,
    Testing,
    Utilities,
    Ci,
    Infrastructure,
    Config,
    Docs,
    /// Kept for the record, used by nobody.
    Archive,
    /// Belongs to an application and stays with it.
    Application,
}

pub const CLASSES: [Class; 19] = [
    Migrations,
    Schema,
    Queries,
    Seeds,
    Backups,
    Maintenance,
    Deployment,
    Services,
    Setup,
    Monitoring,
    DataManagement,
    Testing,
    Utilities,
    Ci,
    Infrastructure,
    Config,
    Docs,
    Archive,
    Application,
];

impl Class {
    /// As plans and rules write it.
    pub fn name(self) -> &'static str {
        match self {
            Migrations => "database/migrations",
            Schema => "database/schema",
            Queries => "database/queries",
            Seeds => "database/seeds",
            Backups => "database/backups",
            Maintenance => "database/maintenance",
            Deployment => "deployment",
            Services => "services",
            Setup => "setup",
            Monitoring => "monitoring",
            DataManagement => "data-management",
            Testing => "testing",
            Utilities => "utilities",
            Ci => "ci",
            Infrastructure => "infrastructure",
            Config => "config",
            Docs => "docs",
            Archive => "archive",
            Application => "application",
        }
    }
    pub fn from_name(name: &str) -> Option<Class> {
        CLASSES.into_iter().find(|class| class.name() == name)
    }
    pub fn is_database(self) -> bool {
        matches!(self, Migrations | Schema | Queries | Seeds | Backups | Maintenance)
    }
    fn index(self) -> usize {
        CLASSES.iter().position(|class| *class == self).unwrap_or(0)
    }
}

/// How much speaks for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weights([f32; CLASSES.len()]);

impl Weights {
    pub fn add(&mut self, class: Class, weight: f32) {
        self.0[class.index()] += weight;
    }
    pub fn get(&self, class: Class) -> f32 {
        self.0[class.index()]
    }
    pub fn add_all(&mut self, other: &Weights, factor: f32) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own += other * factor);
    }
    pub fn sum(&self) -> f32 {
        self.0.iter().sum()
    }
    /// The class with the most weight, and how clearly, 0 to 1. None where nothing speaks at all.
    pub fn best(&self) -> Option<(Class, f32)> {
        let mut order: Vec<(Class, f32)> =
            CLASSES.into_iter().zip(self.0).filter(|(_, weight)| *weight > 0.0).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (class, most) = *order.first()?;
        let second = order.get(1).map_or(0.0, |(_, weight)| *weight);
        // Much evidence and a wide margin are both needed to be sure.
        let margin = (most - second) / most;
        let amount = (most / 6.0).min(1.0);
        Some((class, (0.3 + 0.4 * margin + 0.3 * amount).min(0.98)))
    }
}

/// Words of names, each with the class it speaks for and how strongly (1 is plain).
const WORDS: &[(Class, f32, &str)] = &[
    (
        Deployment,
        1.0,
        "deploy deploys deployment deployments deployer rollout rollback release releases publish promote ship canary bluegreen undeploy redeploy cutover golive",
    ),
    (Deployment, 0.6, "production prod staging vercel railway heroku netlify fly helm push"),
    (
        Setup,
        1.0,
        "setup install installer bootstrap init initialize initialise onboard onboarding configure prepare prerequisites preinstall postinstall firstrun",
    ),
    (
        Setup,
        0.6,
        "environment env requirements deps dependencies venv virtualenv workstation devcontainer subdomain subdomains",
    ),
    (
        Services,
        1.0,
        "start stop restart serve service services daemon startup shutdown launch supervisord pm2 entrypoint",
    ),
    (Services, 0.6, "up down server worker workers kill ports run dev proxy"),
    (
        Monitoring,
        1.0,
        "monitor monitoring monitors health healthcheck healthchecks healthz alert alerts alerting alertmanager grafana prometheus dashboard dashboards observability metrics metric uptime loki tempo jaeger otel telemetry sentry datadog langfuse status watch watchdog",
    ),
    (Monitoring, 0.6, "log logs logging trace tracing probe ping diagnose diagnostics exporter"),
    (Migrations, 1.0, "migration migrations migrate migrator migrating alembic flyway liquibase"),
    (Schema, 1.0, "schema schemas ddl tables functions triggers views policies rls rpc"),
    (Queries, 1.0, "query queries report reports select inspect"),
    (Seeds, 1.0, "seed seeds seeding seeder fixtures populate bootstrapdata"),
    (Backups, 1.0, "backup backups restore dump snapshot snapshots pgdump"),
    (
        Maintenance,
        1.0,
        "vacuum reindex maintenance maintain prune purge housekeeping retention partition partitions analyze",
    ),
    (
        DataManagement,
        1.0,
        "import importer imports export exporter exports sync synchronize synchronise etl ingest ingestion load loader loaders transform transformer transformers backfill scrape scraper crawl crawler dataset datasets pipeline pipelines enrich enrichment embeddings csv",
    ),
    (
        DataManagement,
        0.6,
        "data convert extract map mapping update assign batch upload download copy transfer notion replicate anonymize anonymise mask populate",
    ),
    (
        Testing,
        1.0,
        "test tests testing spec specs e2e integration unit smoke regression bench benchmark benchmarks loadtest playwright cypress jest pytest qa coverage testdata",
    ),
    (Testing, 0.6, "verify verification validate validation mock mocks check scenario stress"),
    (
        Ci,
        1.0,
        "ci cicd lint linter linting precommit prepush hook hooks husky jenkins travis circleci buildkite workflow workflows pipeline",
    ),
    (Ci, 0.6, "build builds format fmt codegen changelog version bump compile typecheck ci-test"),
    (
        Infrastructure,
        1.0,
        "terraform tf k8s kubernetes kube kubectl ansible infra infrastructure cloudformation pulumi vpc cluster eks gke aks iam packer vagrant docker compose dockerfiles helm charts",
    ),
    (
        Infrastructure,
        0.6,
        "aws gcp azure cloud network dns nginx traefik haproxy cert certs certificates ssl tls proxy container containers image images registry node nodes",
    ),
    (Config, 1.0, "config configs configuration conf settings"),
    (Docs, 1.0, "doc docs documentation guide guides runbook runbooks manual wiki howto playbooks"),
    (
        Utilities,
        1.0,
        "util utils utility utilities helper helpers tool tools toolbox misc miscellaneous common lib snippets adhoc",
    ),
    (
        Utilities,
        0.6,
        "clean cleanup fix organize organise rename generate generator generators convert format debug analysis analyze audit quick find list create remove delete",
    ),
];

/// The words of a name: letters and digits, camel case parted, lower case.
pub fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut last = ' ';
    for c in name.chars() {
        let parts = !c.is_alphanumeric() || (c.is_uppercase() && last.is_lowercase());
        if parts && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        last = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What one word says.
pub fn said_by(word: &str) -> &'static [(Class, f32)] {
    use std::collections::HashMap;
    use std::sync::LazyLock;
    static INDEX: LazyLock<HashMap<&str, Vec<(Class, f32)>>> = LazyLock::new(|| {
        let mut index: HashMap<&str, Vec<(Class, f32)>> = HashMap::new();
        for (class, weight, words) in WORDS {
            for word in words.split_whitespace() {
                index.entry(word).or_default().push((*class, *weight));
            }
        }
        index
    });
    INDEX.get(word).map_or(&[], Vec::as_slice)
}

/// What stands in scripts that serve a class; text, class, weight.
pub const COMMANDS: &[(&str, Class, f32)] = &[
    ("kubectl apply", Deployment, 1.5),
    ("kubectl rollout", Deployment, 2.0),
    ("kubectl set image", Deployment, 2.0),
    ("kubectl create", Deployment, 0.7),
    ("helm upgrade", Deployment, 2.0),
    ("helm install", Deployment, 1.2),
    ("docker push", Deployment, 1.5),
    ("terraform apply", Infrastructure, 1.5),
    ("terraform init", Infrastructure, 1.0),
    ("terraform plan", Infrastructure, 1.0),
    ("ansible-playbook", Infrastructure, 1.2),
    ("aws ecs update-service", Deployment, 2.0),
    ("aws s3 sync", Deployment, 0.8),
    ("aws cloudformation", Infrastructure, 1.2),
    ("gcloud run deploy", Deployment, 2.0),
    ("gcloud app deploy", Deployment, 2.0),
    ("vercel --prod", Deployment, 2.0),
    ("vercel deploy", Deployment, 2.0),
    ("railway up", Deployment, 2.0),
    ("railway deploy", Deployment, 2.0),
    ("fly deploy", Deployment, 2.0),
    ("eb deploy", Deployment, 2.0),
    ("serverless deploy", Deployment, 2.0),
    ("npm publish", Deployment, 1.5),
    ("twine upload", Deployment, 1.5),
    ("gh release", Deployment, 1.5),
    ("git push", Deployment, 0.5),
    ("rsync ", Deployment, 0.6),
    ("scp ", Deployment, 0.6),
    ("systemctl restart", Deployment, 0.7),
    ("rollback", Deployment, 0.6),
    ("apt-get install", Setup, 1.2),
    ("apt install", Setup, 1.2),
    ("yum install", Setup, 1.2),
    ("apk add", Setup, 0.8),
    ("brew install", Setup, 1.5),
    ("pip install", Setup, 0.8),
    ("npm install", Setup, 0.8),
    ("npm ci", Setup, 0.5),
    ("pnpm install", Setup, 0.8),
    ("yarn install", Setup, 0.8),
    ("poetry install", Setup, 0.8),
    ("cargo install", Setup, 0.8),
    ("go install ", Setup, 0.8),
    ("-m venv", Setup, 1.0),
    ("cp .env", Setup, 1.2),
    (".env.example", Setup, 0.8),
    ("createdb", Setup, 0.8),
    ("useradd", Setup, 0.8),
    ("/etc/hosts", Setup, 1.0),
    ("mkcert", Setup, 1.0),
    ("docker-compose up", Services, 1.5),
    ("docker compose up", Services, 1.5),
    ("docker-compose down", Services, 1.2),
    ("docker compose down", Services, 1.2),
    ("docker run", Services, 0.6),
    ("uvicorn", Services, 1.2),
    ("gunicorn", Services, 1.2),
    ("npm run dev", Services, 1.0),
    ("npm start", Services, 1.0),
    ("pnpm dev", Services, 0.8),
    ("nohup ", Services, 1.2),
    ("pm2 ", Services, 1.2),
    ("systemctl start", Services, 0.8),
    ("lsof -", Services, 0.8),
    ("pkill", Services, 0.8),
    (".pid", Services, 0.8),
    ("flask run", Services, 1.0),
    ("/health", Monitoring, 0.8),
    ("healthcheck", Monitoring, 1.0),
    ("prometheus", Monitoring, 1.0),
    ("grafana", Monitoring, 1.0),
    ("alertmanager", Monitoring, 1.0),
    ("docker stats", Monitoring, 1.2),
    ("docker logs", Monitoring, 0.8),
    ("tail -f", Monitoring, 0.8),
    ("journalctl", Monitoring, 1.0),
    ("kubectl logs", Monitoring, 0.8),
    ("kubectl top", Monitoring, 1.2),
    ("df -h", Monitoring, 0.8),
    ("pg_stat_", Monitoring, 0.8),
    ("%{http_code}", Monitoring, 0.8),
    ("pg_dump", Backups, 2.0),
    ("pg_restore", Backups, 2.0),
    ("pg_basebackup", Backups, 2.0),
    ("mysqldump", Backups, 2.0),
    ("mongodump", Backups, 2.0),
    ("mongorestore", Backups, 2.0),
    ("restic ", Backups, 1.5),
    ("borg ", Backups, 1.5),
    ("BACKUP_DIR", Backups, 1.0),
    ("vacuum ", Maintenance, 1.0),
    ("reindex ", Maintenance, 1.0),
    ("docker system prune", Maintenance, 1.2),
    ("logrotate", Maintenance, 1.2),
    ("-mtime +", Maintenance, 0.8),
    ("alembic upgrade", Migrations, 2.0),
    ("prisma migrate", Migrations, 2.0),
    ("supabase db push", Migrations, 2.0),
    ("supabase migration", Migrations, 2.0),
    ("knex migrate", Migrations, 2.0),
    ("sequelize db:migrate", Migrations, 2.0),
    ("flyway ", Migrations, 2.0),
    ("dbmate", Migrations, 2.0),
    ("manage.py migrate", Migrations, 2.0),
    ("exec_sql", Migrations, 1.5),
    ("create table", Migrations, 0.7),
    ("alter table", Migrations, 0.7),
    ("migrations/", Migrations, 0.8),
    ("psql ", Queries, 0.7),
    ("insert into", Seeds, 0.6),
    (".insert(", DataManagement, 0.8),
    (".upsert(", DataManagement, 1.0),
    (".update({", DataManagement, 0.6),
    ("read_csv", DataManagement, 1.0),
    ("csv.reader", DataManagement, 1.0),
    ("csv.dictreader", DataManagement, 1.0),
    ("pandas", DataManagement, 0.8),
    ("json.load(", DataManagement, 0.5),
    ("json.parse(fs.readfile", DataManagement, 0.6),
    ("pinecone", DataManagement, 0.6),
    ("openpyxl", DataManagement, 0.8),
    ("beautifulsoup", DataManagement, 0.8),
    ("pytest", Testing, 1.5),
    ("unittest", Testing, 1.5),
    ("jest", Testing, 0.8),
    ("go test", Testing, 1.2),
    ("cargo test", Testing, 1.2),
    ("npm test", Testing, 1.0),
    ("npm run test", Testing, 1.0),
    ("playwright", Testing, 1.0),
    ("describe(", Testing, 0.8),
    ("expect(", Testing, 0.8),
    ("assert ", Testing, 0.4),
    ("k6 run", Testing, 1.5),
    ("@test ", Testing, 1.5),
    ("golangci-lint", Ci, 1.5),
    ("eslint", Ci, 0.8),
    ("shellcheck", Ci, 1.0),
    ("go vet", Ci, 1.0),
    ("gofmt", Ci, 1.0),
    ("prettier", Ci, 0.6),
    ("github_", Ci, 1.0),
    ("ci_commit", Ci, 1.2),
    ("travis_", Ci, 1.2),
    ("circle_", Ci, 1.0),
    ("codecov", Ci, 1.2),
    ("git diff --exit-code", Ci, 1.5),
    ("docker build", Ci, 0.5),
    ("go build", Ci, 0.6),
    ("git branch", Utilities, 0.6),
    ("sed -i", Utilities, 0.5),
    ("find . -name", Utilities, 0.5),
    ("mv ", Utilities, 0.2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words() {
        assert_eq!(words("run-Migrations_v2.sh"), ["run", "migrations", "v2", "sh"]);
        assert_eq!(words("importAgentsFromCSV"), ["import", "agents", "from", "csv"]);
    }

    #[test]
    fn the_heavier_side_wins_and_says_how_clearly() {
        let mut weights = Weights::default();
        assert_eq!(weights.best(), None);
        weights.add(Deployment, 4.0);
        let (class, alone) = weights.best().unwrap();
        assert_eq!(class, Deployment);
        weights.add(Setup, 3.0);
        let (class, contested) = weights.best().unwrap();
        assert!(class == Deployment && contested < alone && contested > 0.3);
    }

    #[test]
    fn every_class_has_its_name() {
        assert!(CLASSES.iter().all(|class| Class::from_name(class.name()) == Some(*class)));
        assert_eq!(said_by("deploy"), [(Deployment, 1.0)]);
    }
}
