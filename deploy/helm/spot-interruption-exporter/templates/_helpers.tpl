{{/* The address overrides the port, as in the exporter. */}}
{{- define "spot-interruption-exporter.port" -}}
{{- with .Values.config.prometheus -}}
{{ include "exporter.portOf" (.address | default (printf ":%d" (int .port))) }}
{{- end -}}
{{- end -}}

{{- define "spot-interruption-exporter.path" -}}
{{ .Values.config.prometheus.path }}
{{- end -}}

{{/* The configuration file: the user's keys, and keys that are derived from other values. */}}
{{- define "spot-interruption-exporter.config" -}}
{{- $aws := include "spot-interruption-exporter.aws" . -}}
{{- if not (or .Values.config.project_name $aws) -}}
{{- fail "config.project_name or config.aws.queue_urls is required: the Google Cloud project whose instances are watched, or the SQS queues with the spot events of AWS" -}}
{{- end -}}
{{- $config := deepCopy .Values.config -}}
{{- if $aws }}{{ $_ := set $config "aws" (include "spot-interruption-exporter.aws" . | fromYaml) }}{{ else }}{{ $_ := unset $config "aws" }}{{ end -}}
{{- $gcp := dict -}}
{{- range $key, $value := $config.gcp -}}
{{- if $value }}{{ $_ := set $gcp $key $value }}{{ end -}}
{{- end -}}
{{- if and $gcp.discover_query (not $gcp.discover) -}}
{{- fail "config.gcp.discover_query narrows a search: set config.gcp.discover to the folders or organizations to search" -}}
{{- end -}}
{{- if $gcp }}{{ $_ := set $config "gcp" $gcp }}{{ else }}{{ $_ := unset $config "gcp" }}{{ end -}}
{{- if not .Values.config.project_name -}}
{{- if and $config.pubsub (ne (toYaml $config.pubsub) (toYaml (.Files.Get "files/values.yaml" | fromYaml).config.pubsub)) -}}
{{- fail "config.pubsub has no effect without config.project_name" -}}
{{- end -}}
{{- $config = include "spot-interruption-exporter.withoutGoogle" $config | fromYaml -}}
{{- else if not (include "spot-interruption-exporter.pubsub" .) -}}
{{- $_ := unset $config "pubsub" -}}
{{- if has (toString (dig "operations" "source" ($config.compute | default dict))) (list "off" "false" "reconcile") -}}
{{- fail "config.compute.operations must be source without config.pubsub, because interruptions would not be detected" -}}
{{- end -}}
{{- end -}}
{{- /* YAML parses an unquoted off as false. */ -}}
{{- if eq "false" (toString (dig "operations" "" ($config.compute | default dict))) -}}
{{- $_ := set $config.compute "operations" "off" -}}
{{- end -}}
{{- if include "exporter.web.enabled" . -}}
{{- $web := dict "config_file" (include "exporter.web.path" .) "open_probes" .Values.webConfig.openProbes -}}
{{- $_ := set $config "web" (merge $web ($config.web | default dict)) -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- $_ := set $config "state" (dict "path" (include "exporter.state.directory" .)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The options of AWS that are set, as YAML; empty if AWS is not used. */}}
{{- define "spot-interruption-exporter.aws" -}}
{{- $aws := dict -}}
{{- range $key, $value := .Values.config.aws | default dict -}}
{{- if $value }}{{ $_ := set $aws $key $value }}{{ end -}}
{{- end -}}
{{- if and $aws (not $aws.queue_urls) -}}
{{- fail (printf "config.aws.%s has no effect without config.aws.queue_urls" (keys $aws | sortAlpha | first)) -}}
{{- end -}}
{{- if $aws }}{{ toYaml $aws }}{{ end -}}
{{- end -}}

{{/*
The configuration without the parts of Google Cloud, which the exporter rejects without a project.
*/}}
{{- define "spot-interruption-exporter.withoutGoogle" -}}
{{- range $key := list "gcp" "compute" "interruption_methods" -}}
{{- if get $ $key -}}
{{- fail (printf "config.%s has no effect without config.project_name" $key) -}}
{{- end -}}
{{- end -}}
{{- toYaml (omit . "project_name" "pubsub" "compute") -}}
{{- end -}}

{{/*
Not empty if events are received from Pub/Sub. `config.pubsub: null` removes the names of the subscriptions. They have no
effect without a project.
*/}}
{{- define "spot-interruption-exporter.pubsub" -}}
{{- $pubsub := ternary (.Values.config.pubsub | default dict) dict (not (empty .Values.config.project_name)) -}}
{{- $creation := $pubsub.instance_creation_subscription_name -}}
{{- $interruption := $pubsub.instance_interruption_subscription_name -}}
{{- if and $creation $interruption }}true
{{- else if or $creation $interruption -}}
{{- fail "config.pubsub needs both instance_creation_subscription_name and instance_interruption_subscription_name; set config.pubsub=null to run without Pub/Sub" -}}
{{- end -}}
{{- end -}}

{{/* The condition for which /ready returns 200. */}}
{{- define "spot-interruption-exporter.ready" -}}
{{- $conditions := list -}}
{{- if include "spot-interruption-exporter.pubsub" . }}{{ $conditions = append $conditions "both subscriptions are open" }}{{ end -}}
{{- if include "spot-interruption-exporter.aws" . }}{{ $conditions = append $conditions "messages can be received from the queues" }}{{ end -}}
{{- $conditions = append $conditions "the instances are listed" -}}
{{- if and .Values.config.project_name (not (include "spot-interruption-exporter.pubsub" .)) -}}
{{- $conditions = append (initial $conditions) "instances and operations are listed" -}}
{{- end -}}
{{- if gt (len $conditions) 1 }}{{ initial $conditions | join ", " }} and {{ end }}{{ last $conditions }}.
{{- end -}}

{{/* The source of interruptions on Google Cloud, as sentences. */}}
{{- define "spot-interruption-exporter.source" -}}
{{- $compute := .Values.config.compute | default dict -}}
{{- if not (include "spot-interruption-exporter.pubsub" .) -}}
It learns of interruptions from Compute Engine's operations, every {{ $compute.operations_interval | default "30s" }}. With Pub/Sub
(config.pubsub) they come within seconds.
{{- else if has (toString $compute.operations) (list "off" "false") -}}
It learns of interruptions from two Pub/Sub subscriptions. If a log sink is broken, nothing tells (config.compute.operations).
{{- else if eq "source" (toString $compute.operations) -}}
It learns of interruptions from two Pub/Sub subscriptions and, every {{ $compute.operations_interval | default "30s" }}, from Compute Engine's operations.
{{- else -}}
It learns of interruptions from two Pub/Sub subscriptions, and every {{ $compute.operations_interval | default "5m" }} asks Compute Engine for those of which no
message came.
{{- end -}}
{{- end -}}

{{/* The listed projects, as sentences. If there are many, only their number. */}}
{{- define "spot-interruption-exporter.projects" -}}
{{- $gcp := .Values.config.gcp | default dict -}}
{{- $projects := prepend ($gcp.projects | default list) .Values.config.project_name | uniq -}}
It lists the instances of {{ if gt (len $projects) 5 }}{{ len $projects }} projects, {{ .Values.config.project_name }} among them
{{- else }}{{ ternary "project" "projects" (eq (len $projects) 1) }} {{ join ", " $projects }}{{ end }}
{{- with $gcp.discover }}
{{- $parents := kindIs "slice" . | ternary . (list .) }}, and of every project below {{ join ", " $parents }}
{{- with $gcp.discover_query }} that matches {{ . | quote }}{{ end }}
{{- end }}.
{{- end -}}

{{/* The source of interruptions on AWS and the listed regions, as sentences. */}}
{{- define "spot-interruption-exporter.queues" -}}
{{- $aws := include "spot-interruption-exporter.aws" . | fromYaml -}}
{{- $urls := $aws.queue_urls -}}
{{- $regions := list -}}
{{- range $urls }}{{ $regions = append $regions (regexReplaceAll `^https?://(?:sqs(?:-fips)?\.)?([a-z0-9-]+)\..*$` . "${1}") }}{{ end -}}
{{- $regions = $aws.regions | default $regions | uniq | sortAlpha -}}
On AWS (beta) it receives interruption warnings from {{ if gt (len $urls) 3 }}{{ len $urls }} SQS queues{{ else }}the SQS {{ ternary "queue" "queues" (eq (len $urls) 1) }} {{ join ", " $urls }}{{ end }}.
Every {{ $aws.resync_interval | default "5m" }} it lists the spot instances of {{ if gt (len $regions) 5 }}{{ len $regions }} regions{{ else }}{{ ternary "region" "regions" (eq (len $regions) 1) }} {{ join ", " $regions }}{{ end }}
{{- with $aws.role_arns }}, also in {{ len . }} further {{ ternary "account" "accounts" (eq (len .) 1) }},{{ end }} to count those that were taken without a warning.
{{- end -}}

{{/*
The user's affinity, plus an affinity to nodes that are not preemptible: a burst of preemptions must not stop the
exporter that reports it. Expressions of a term are combined with AND, so with `required` they are added to each of
the user's terms.
*/}}
{{- define "spot-interruption-exporter.affinity" -}}
{{- $affinity := deepCopy (.Values.affinity | default dict) -}}
{{- $avoid := .Values.avoidSpotNodes | default "preferred" -}}
{{- if ne $avoid "none" -}}
{{- $expressions := list
  (dict "key" "cloud.google.com/gke-spot" "operator" "NotIn" "values" (list "true"))
  (dict "key" "cloud.google.com/gke-preemptible" "operator" "NotIn" "values" (list "true"))
  (dict "key" "karpenter.sh/capacity-type" "operator" "NotIn" "values" (list "spot"))
  (dict "key" "eks.amazonaws.com/capacityType" "operator" "NotIn" "values" (list "SPOT")) -}}
{{- $node := $affinity.nodeAffinity | default dict -}}
{{- if eq $avoid "required" -}}
{{- $terms := list -}}
{{- range dig "requiredDuringSchedulingIgnoredDuringExecution" "nodeSelectorTerms" list $node -}}
{{- $terms = append $terms (set . "matchExpressions" (concat (.matchExpressions | default list) $expressions)) -}}
{{- end -}}
{{- $terms = $terms | default (list (dict "matchExpressions" $expressions)) -}}
{{- $_ := set $node "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms) -}}
{{- else -}}
{{- $preference := dict "weight" 100 "preference" (dict "matchExpressions" $expressions) -}}
{{- $preferences := append ($node.preferredDuringSchedulingIgnoredDuringExecution | default list) $preference -}}
{{- $_ := set $node "preferredDuringSchedulingIgnoredDuringExecution" $preferences -}}
{{- end -}}
{{- $_ := set $affinity "nodeAffinity" $node -}}
{{- end -}}
{{- toYaml $affinity -}}
{{- end -}}
